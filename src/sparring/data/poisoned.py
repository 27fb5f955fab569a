"""`poisoned:DIR`: a training set that `sparring poison` has written, as a data set like any other.

The split that was poisoned is read from the folder; every other split is the clean data that it was made from. So
`sparring train --data poisoned:DIR` learns from poisoned images and is measured on clean ones.

    DIR/manifest.json           what was done, with `changed`, the numbers of the samples that differ
    DIR/poisoned.safetensors    `images` uint8 or float32 [N, C, H, W], `labels` int64 [N]
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.registry import DataInfo, Options, Source, load_data
from sparring.errors import InputError
from sparring.storage import write, write_json

MANIFEST, TENSORS = "manifest.json", "poisoned.safetensors"


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder.

    Raises:
        DataError: there is none, or it is none of ours.
    """
    path = folder / MANIFEST
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} holds no {MANIFEST}; make it with sparring poison ... --out {folder}") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(found, dict) or not {"data", "split", "classes", "fingerprint", "changed"} <= found.keys():
        raise DataError(
            f"{path} is no manifest of sparring poison; it needs data, split, classes, fingerprint, changed"
        )
    return found


def write_poisoned(folder: Path, data: ImageData, manifest: dict[str, Any]) -> None:
    """Write a poisoned set and its manifest; the manifest comes last, so a folder that has one is whole."""
    x, y = data.tensors()
    pixels = x.mul(255).round().to(torch.uint8)
    exact = torch.equal(pixels.to(torch.float32) / 255, x)
    write(folder / TENSORS, save({"images": pixels if exact else x, "labels": y}))
    write_json(folder / MANIFEST, manifest)


def load_poisoned(argument: str, split: str, options: Options) -> ImageData:
    """The poisoned images, or for another split the clean ones of the data below.

    Raises:
        DataError: files that are missing, damaged, or not those of the manifest.
    """
    folder = Path(argument).expanduser()
    manifest = read_manifest(folder)
    if split != manifest["split"]:
        return load_data(manifest["data"], split)
    tensors = _tensors(folder / TENSORS)
    try:
        data = ImageData(
            tensors["images"], tensors["labels"], classes=manifest["classes"], name=f"poisoned:{argument}", split=split
        )
    except (InputError, KeyError) as error:
        raise DataError(f"{folder / TENSORS}: {error}") from None
    if data.fingerprint() != manifest["fingerprint"]:
        raise DataError(f"{folder / TENSORS} is not the set of its manifest; make it again with sparring poison")
    return data


def _tensors(path: Path) -> dict[str, Tensor]:
    try:
        return load(path.read_bytes())
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None


def info() -> DataInfo:
    """What `sparring data` shows."""
    return DataInfo("poisoned:DIR", "a training set made by sparring poison", None, None, {}, (), "DIR", 0)


SOURCE = Source("poisoned", load_poisoned, info, argument="DIR")
