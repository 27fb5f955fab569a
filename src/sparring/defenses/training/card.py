"""The card of a trained net: one JSON file that says what it is, how it was made and what it is worth."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sparring._version import __version__
from sparring.data.images import ImageData
from sparring.defenses.training.fit import Fitted
from sparring.storage import write

FORMAT = "sparring-card-1"
PACKAGES = ("torch", "lightning-fabric", "numpy", "safetensors")


@dataclass(frozen=True)
class NetCard:
    """Which net of `sparring.zoo.nets` it is: the arguments of `make_net`."""

    name: str
    in_channels: int
    num_classes: int
    size: int
    parameters: int


@dataclass(frozen=True)
class Exclusion:
    """Images that were left out of the training data because they are in `split` of `spec`."""

    spec: str
    split: str
    images: int


def data_card(spec: str, data: ImageData, excluded: Sequence[Exclusion] = ()) -> dict[str, Any]:
    """What a net was trained or measured on; the fingerprint is of the images that were really used."""
    return {
        "spec": spec,
        "split": data.split,
        "images": len(data),
        "fingerprint": data.fingerprint(),
        "excluded": [vars(exclusion) for exclusion in excluded],
    }


def make_card(
    *,
    name: str,
    recipe: str,
    net: NetCard,
    fitted: Fitted,
    weights: Path,
    train: dict[str, Any],
    test: dict[str, Any],
    clean: float,
    robust: dict[str, Any] | None,
    classes: Sequence[str],
) -> dict[str, Any]:
    """The card as plain values.

    Args:
        recipe: what tables call the way it was trained.
        weights: the file, whose SHA-256 goes into the card.
        train, test: see `data_card`; `clean` is the accuracy on all images of `test`.
        robust: what an audit of the first images of `test` says, if there was one.
    """
    contents = weights.read_bytes()
    return {
        "format": FORMAT,
        "name": name,
        "recipe": recipe,
        "net": vars(net),
        "box": [0.0, 1.0],
        "classes": list(classes),
        "data": train,
        "training": fitted.settings,
        "metrics": {
            "data": test,
            "clean": {"accuracy": clean, "images": test["images"]},
            "robust": robust,
        },
        "stopped": fitted.stopped,
        "history": fitted.history,
        "seconds": round(fitted.seconds, 1),
        "device": fitted.device,
        "versions": {
            "sparring": __version__,
            "python": platform.python_version(),
            **{package: version(package) for package in PACKAGES},
        },
        "weights": {
            "file": weights.name,
            "bytes": len(contents),
            "sha256": hashlib.sha256(contents).hexdigest(),
        },
    }


def write_card(path: Path, card: dict[str, Any]) -> None:
    """Write it as JSON, atomically."""
    write(path, json.dumps(card, indent=2) + "\n", durable=True)
