"""What a caller of `load_model` may say besides the spec, handed to the loader of that kind of spec."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import InputError
from sparring.model import Model, wrap

Channels = Sequence[float] | float


@dataclass(frozen=True)
class Options:
    """See `sparring.zoo.loaders.load_model`."""

    weights: Path | None = None
    trust: bool = False
    mean: Channels | None = None
    std: Channels | None = None
    num_classes: int | None = None

    def wrap(self, net: Any, *, mean: Channels | None = None, std: Channels | None = None, **facts: Any) -> Model:
        """`net` as a Model; `mean` and `std` are what its own files say, and the caller's word beats them."""
        mean = mean if self.mean is None else self.mean
        std = std if self.std is None else self.std
        return wrap(net, mean=mean, std=std, num_classes=self.num_classes, **facts)

    def refuse_weights(self, what: str) -> None:
        """For specs that bring their own weights."""
        if self.weights is not None:
            raise InputError(f"{what} brings its own weights; drop --weights {self.weights}")

    def check_wrapped(self, model: Model, what: str) -> Model:
        """For specs that give a Model: its normalisation is settled, and the number of classes must agree."""
        if self.mean is not None or self.std is not None:
            raise InputError(f"{what} gives a Model that is wrapped already; set mean and std there, not here")
        if self.num_classes is not None and model.num_classes not in (None, self.num_classes):
            raise InputError(f"{what} has {model.num_classes} classes, not num_classes={self.num_classes}")
        model.num_classes = model.num_classes or self.num_classes
        return model
