"""Random views of a picture, differentiable: what expectation over transformation (EOT) averages over.

A transform is called as `transform(z, noise)`: points [b, ...] and their noise in, what is shown instead out, drawn
afresh for each sample. Joined with `|`, first to last. By name: "rotation:22.5|scale:0.9:1.4"; "+" does as well as "|".
Lengths and values of pixels are parts of the box, from 0 to 1, whatever pixels the model takes.
Camera moves leave inputs without height and width ([b, d]) alone; brightness and noise work on any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Annotated, Any, ClassVar

import torch
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor

from sparring.blocks.views.chain import Chain, Show, Transform, Warp, spelled
from sparring.errors import InputError
from sparring.norms import per
from sparring.rng import Noise
from sparring.spec import unknown


@dataclass(frozen=True)
class Rotation(Warp):
    """By an angle uniform in [-degrees, degrees], about the middle."""

    degrees: float = 22.5
    name: ClassVar[str] = "rotation"

    def __post_init__(self) -> None:
        _demand(0 <= self.degrees <= 180, self, "the angle is in degrees, from 0 to 180")

    def matrix(self, noise: Noise, half: Tensor) -> Tensor:
        angle = torch.deg2rad(_either_way(noise, half) * self.degrees)
        cos, sin = angle.cos(), angle.sin()
        return _matrix([cos, -sin, 0], [sin, cos, 0], [0, 0, 1])


@dataclass(frozen=True)
class Scale(Warp):
    """The picture grows by a factor uniform in [low, high]; below 1 it shrinks."""

    low: float = 0.9
    high: float = 1.4
    name: ClassVar[str] = "scale"

    def __post_init__(self) -> None:
        _demand(0 < self.low <= self.high < float("inf"), self, "two factors are needed, 0 < low <= high")

    def matrix(self, noise: Noise, half: Tensor) -> Tensor:
        back = 1 / (self.low + (self.high - self.low) * _uniform(noise, half))
        return _matrix([back, 0, 0], [0, back, 0], [0, 0, 1])


@dataclass(frozen=True)
class Translation(Warp):
    """By a part of the width and a part of the height, each uniform in [-share, share]."""

    share: float = 0.1
    name: ClassVar[str] = "translation"

    def __post_init__(self) -> None:
        _demand(0 <= self.share <= 1, self, "it is a part of each side, from 0 to 1")

    def matrix(self, noise: Noise, half: Tensor) -> Tensor:
        x, y = (2 * self.share * size * _either_way(noise, half) for size in half)
        return _matrix([1, 0, x], [0, 1, y], [0, 0, 1])


@dataclass(frozen=True)
class Perspective(Warp):
    """The picture tilts about both axes: its depth changes by up to `tilt` from the middle to each edge."""

    tilt: float = 0.15
    name: ClassVar[str] = "perspective"

    def __post_init__(self) -> None:
        _demand(0 <= self.tilt < 0.5, self, "the tilt is at least 0 and below 0.5")

    def matrix(self, noise: Noise, half: Tensor) -> Tensor:
        a, b = (self.tilt * _either_way(noise, half) for _ in range(2))
        return _matrix([1, 0, 0], [0, 1, 0], [a, b, 1])


@dataclass(frozen=True)
class Brightness(Transform):
    """All pixels brighter or darker by one number, uniform in [-most, most], in widths of the box."""

    most: float = 0.05
    name: ClassVar[str] = "brightness"

    def __post_init__(self) -> None:
        _demand(0 <= self.most < float("inf"), self, "it is the largest change of a pixel, at least 0")

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return z + per(self.most * _either_way(noise, z), z)

    def in_box(self, box: tuple[float, float]) -> Brightness:
        return replace(self, most=self.most * (box[1] - box[0]))


@dataclass(frozen=True)
class Gaussian(Transform):
    """Normal noise on each pixel, its standard deviation uniform in [0, most], in widths of the box."""

    most: float = 0.1
    name: ClassVar[str] = "noise"

    def __post_init__(self) -> None:
        _demand(0 <= self.most < float("inf"), self, "it is the largest standard deviation, at least 0")

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return z + per(self.most * _uniform(noise, z), z) * noise.normal(*z.shape[1:], dtype=z.dtype)

    def in_box(self, box: tuple[float, float]) -> Gaussian:
        return replace(self, most=self.most * (box[1] - box[0]))


@dataclass(frozen=True)
class Clip(Transform):
    """Pixels back between two parts of the box, as a camera gives them; gradients pass as if there were none."""

    low: float = 0.0
    high: float = 1.0
    name: ClassVar[str] = "clip"

    def __post_init__(self) -> None:
        _demand(self.low < self.high, self, "two bounds are needed, low < high")

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return z + (z.clamp(self.low, self.high) - z).detach()

    def in_box(self, box: tuple[float, float]) -> Clip:
        low, width = box[0], box[1] - box[0]
        return Clip(low + self.low * width, low + self.high * width)


def paper_2d() -> Chain:
    """What Athalye et al. 2018 let 2-D pictures go through; their translations stay in view, here 10 % of a side."""
    return Scale() | Rotation() | Translation() | Brightness() | Gaussian()


TRANSFORMS: dict[str, Callable[..., Transform]] = {
    **{cls.name: cls for cls in (Rotation, Scale, Translation, Perspective, Brightness, Gaussian, Clip)},
    "identity": Chain,
    "2d": paper_2d,
}
"""Transforms by name; what stands behind the colons are their fields, in order."""


def transform(text: str) -> Show:
    """A transform from its name: "rotation", "rotation:22.5|scale:0.9:1.4", "2d" (the paper's set).

    Raises:
        InputError: no such transform, or numbers that do not fit.

    >>> str(transform("rotation + scale:1:1.2"))
    'rotation:22.5+scale:1:1.2'
    """
    whole = Chain()
    for part in text.replace("|", "+").split("+"):
        name, *numbers = (piece.strip().lower() for piece in part.split(":"))
        if name not in TRANSFORMS:
            raise unknown("transform", name, TRANSFORMS)
        factory = TRANSFORMS[name]
        known = [f.name for f in fields(factory) if f.name != "steps"] if isinstance(factory, type) else []
        try:
            values = [float(number) for number in numbers]
        except ValueError:
            raise InputError(f"{part.strip()!r} is not understood; write numbers behind colons: {name}:0.1") from None
        if len(values) > len(known):
            raise InputError(
                f"{part.strip()!r} has {len(values)} numbers; {name} takes {' and '.join(known) or 'none'}"
            )
        whole = whole | factory(*values)
    return whole


def _lookup(value: Any) -> Any:
    return transform(value) if isinstance(value, str) else value


TransformField = Annotated[
    Show,
    BeforeValidator(_lookup),
    PlainSerializer(spelled, return_type=str),
    WithJsonSchema({"type": "string", "examples": ["2d", "rotation:22.5+scale:0.9:1.4"]}),
]
"""A transform as a field of an attack: a function of (points, noise), or its name."""


def _demand(right: bool, value: Transform, wanted: str) -> None:
    if not right:
        raise InputError(f"{value} does not exist; {wanted}")


def _uniform(noise: Noise, like: Tensor) -> Tensor:
    """[b] uniform in [0, 1)."""
    return noise.uniform(1, dtype=like.dtype).squeeze(1)


def _either_way(noise: Noise, like: Tensor) -> Tensor:
    """[b] uniform in [-1, 1)."""
    return _uniform(noise, like) * 2 - 1


def _matrix(*rows: list[Any]) -> Tensor:
    """Three rows of numbers and [b] tensors as [b, 3, 3]."""
    like = next(value for row in rows for value in row if isinstance(value, Tensor))
    return torch.stack([torch.stack([torch.zeros_like(like) + value for value in row], -1) for row in rows], -2)
