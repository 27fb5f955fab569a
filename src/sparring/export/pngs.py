"""Adversarial examples as pictures that people and other programs can open: lossless PNGs with 8 bits a channel.

A file holds byte b for the pixel low + b * (high - low) / 255. Rounding moves an image by up to half a level, which
undoes many small perturbations; so what counts is measured on what is read back (`verify_pngs`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from sparring.data.pictures import Recipe, read_picture
from sparring.errors import InputError
from sparring.export.answers import ask
from sparring.export.files import clear
from sparring.model import Model
from sparring.storage import os_errors_as, replacing, write_json
from sparring.threat import Box, Goal, Targeted, Threat, Untargeted

MANIFEST = "manifest.json"
NAME = re.compile(r"\d{5,19}\.png")


def can_be_pngs(x: Tensor) -> bool:
    """Whether `x` is a batch of grey or colour images: [N, 1, H, W] or [N, 3, H, W]."""
    return x.dim() == 4 and x.shape[1] in (1, 3) and x.shape[2] > 0 and x.shape[3] > 0


def eight_bit(x_adv: Tensor, x: Tensor, threat: Threat) -> Tensor:
    """`x_adv` [N, ...] on the grid of 256 levels: the nearest, or towards `x` where that would leave the ball."""
    return replace(threat, levels=256, region=None).ball(x.to(x_adv.dtype)).snap(x_adv)


def write_pngs(
    x: Tensor,
    folder: Path,
    *,
    box: Box = (0.0, 1.0),
    index: Tensor | None = None,
    facts: Sequence[Mapping[str, Any]] = (),
) -> list[Path]:
    """Write images [N, 1 or 3, H, W] as 00000.png ... and `manifest.json`; PNGs of an earlier run are removed.

    Args:
        x: pixels inside `box`, rounded to the nearest of 256 levels. index: [N] the numbers in the names.
        facts: plain values about each image for the manifest; `verify_pngs` reads "label" and "target" there.

    Returns:
        The paths, in order.

    Raises:
        InputError: not such images. OutputPathError: the file system refuses.
    """
    if not can_be_pngs(x):
        raise InputError(f"images of shape {tuple(x.shape)} cannot be PNGs; [N, 1, H, W] or [N, 3, H, W] can")
    numbers = list(range(len(x))) if index is None else index.tolist()
    if len(set(numbers)) != len(x):
        raise InputError(f"{len(x)} images need as many different numbers; got {len(set(numbers))}")
    with os_errors_as(folder):
        folder.mkdir(parents=True, exist_ok=True)
    clear(folder, (MANIFEST, "[0-9]*.png"))
    low, high = box
    levels = ((x.detach().cpu().double() - low) * (255 / (high - low))).round().clamp(0, 255).to(torch.uint8)
    paths = [folder / f"{number:05d}.png" for number in numbers]
    for image, path in zip(levels, paths, strict=True):
        _write(image, path)
    files = [
        {"file": path.name, "index": number, **(facts[row] if facts else {})}
        for row, (path, number) in enumerate(zip(paths, numbers, strict=True))
    ]
    shape = list(x.shape[1:])
    # Written last: a folder with a manifest is whole.
    write_json(
        folder / MANIFEST,
        {"format": "sparring-pngs-1", "box": list(box), "levels": 256, "shape": shape, "files": files},
    )
    return paths


def read_pngs(folder: Path) -> tuple[Tensor, list[dict[str, Any]]]:
    """The images of `write_pngs`, float32 [N, C, H, W] inside their box, and what the manifest says of each.

    Raises:
        InputError: no such manifest, or a picture that is missing, damaged or of another size.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        (low, high), shape, files = manifest["box"], tuple(manifest["shape"]), manifest["files"]
        if manifest["format"] != "sparring-pngs-1" or not all(NAME.fullmatch(entry["file"]) for entry in files):
            raise ValueError("unknown format or file name")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is not a manifest of pictures written by sparring ({error})") from None
    images = [read_picture(folder / entry["file"], Recipe(gray=shape[0] == 1)) for entry in files]
    for entry, image in zip(files, images, strict=True):
        if tuple(image.shape) != shape:
            raise InputError(f"{folder / entry['file']} has shape {tuple(image.shape)}, but the manifest says {shape}")
    bytes_ = torch.stack(images) if images else torch.zeros(0, *shape, dtype=torch.uint8)
    return (low + bytes_.double() * ((high - low) / 255)).float(), files


@dataclass(frozen=True)
class PngCheck:
    """What became of N adversarial examples as PNGs, read back from disk.

    Attributes:
        prediction, confidence: [N] what the model says. fooled: [N] bool, the goal is reached.
        distance: [N] from the clean image, NaN where that was not given. inside: [N] bool, within the threat.
        success: [N] bool, fooled and inside.
    """

    prediction: Tensor
    confidence: Tensor
    fooled: Tensor
    distance: Tensor
    inside: Tensor

    @property
    def success(self) -> Tensor:
        return self.fooled & self.inside


def verify_pngs(
    folder: Path, model: Model, *, x: Tensor | None = None, threat: Threat | None = None, batch_size: int = 256
) -> PngCheck:
    """Read the pictures back and show them to the model.

    Args:
        folder: as `write_pngs` left it, with labels (or targets) in its facts.
        x, threat: the clean images [N, ...] and what is allowed; without them all count as inside.

    Raises:
        InputError: pictures or labels are missing, or do not fit.
    """
    images, files = read_pngs(folder)
    if x is not None and x.shape != images.shape:
        raise InputError(f"{folder} holds pictures of shape {tuple(images.shape)}, but x has {tuple(x.shape)}")
    answers = ask(model, images, batch_size)
    fooled = _goal(files, folder).hit(answers.prediction)
    distance, inside = torch.full((len(images),), torch.nan), torch.ones(len(images), dtype=torch.bool)
    if x is not None and threat is not None:
        ball = replace(threat.within(model.box), levels=None, region=None).ball(x.float().cpu())
        distance = ball.distance(images)
        inside = ball.contains(images)
    return PngCheck(answers.prediction, answers.confidence, fooled, distance, inside)


def _goal(files: Sequence[Mapping[str, Any]], folder: Path) -> Goal:
    """What fooling the model meant, as the manifest has it."""
    targets, labels = ([entry.get(key) for entry in files] for key in ("target", "label"))
    if files and all(type(target) is int for target in targets):
        return Targeted(torch.tensor(targets))
    if all(type(label) is int for label in labels):
        return Untargeted(torch.tensor(labels, dtype=torch.int64))
    raise InputError(f"{folder / MANIFEST} names no label for each picture; without one nothing can be verified")


def _write(image: Tensor, path: Path) -> None:
    pixels = image[0] if len(image) == 1 else image.permute(1, 2, 0)
    with replacing(path) as waiting, waiting.open("wb") as file:
        Image.fromarray(pixels.contiguous().numpy()).save(file, format="PNG")
