"""Augmentations as views: gradients through changed copies of the point, which other models find as convincing.

Views are joined by `|`, left first: `SI(5) | DI()` shows each scale copy resized and padded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.bout import View, in_box, turns
from sparring.errors import InputError
from sparring.norms import per
from sparring.rng import Noise


class Joinable:
    """A view that can be followed by another: `first | second`."""

    def __or__(self, other: View) -> Joined:
        return Joined(self, other)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Joined(Joinable):
    """One view after another: every copy of the first goes through every copy of the second."""

    first: View
    second: View

    @property
    def copies(self) -> int:
        return self.first.copies * self.second.copies

    @property
    def turns(self) -> Sequence[View | None]:
        return [
            b if a is None else a if b is None else Joined(a, b) for a in turns(self.first) for b in turns(self.second)
        ]

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return self.second(self.first(z, noise), noise)

    def in_box(self, box: tuple[float, float]) -> Joined:
        return Joined(in_box(self.first, box), in_box(self.second, box))

    def __str__(self) -> str:
        return f"{self.first}+{self.second}"


@dataclass(frozen=True)
class SI(Joinable):
    """Scale copies z / 2^i, i = 0 .. copies - 1, each differentiated with its factor (Lin 2020, arXiv:1908.06281).

    Args:
        copies: how many, the point itself among them.
        center: what they fade to, a part of the box: 0 = black (the common ports), 0.5 = grey (the authors' code).
    """

    copies: int = 5
    center: float = 0.0

    def __post_init__(self) -> None:
        if self.copies < 1:
            raise InputError(f"SI has {self.copies} copies; at least 1 is needed")

    @property
    def turns(self) -> Sequence[View | None]:
        return [None, *(_Scaled(0.5**i, self.center) for i in range(1, self.copies))]

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        """One of the copies, drawn by each row: for a search that makes one pass where others make all."""
        factor = per(0.5 ** noise.below(self.copies, 1).squeeze(1).to(z.dtype), z)
        return self.center + (z - self.center) * factor

    def in_box(self, box: tuple[float, float]) -> SI:
        return replace(self, center=_part(self.center, box))

    def __str__(self) -> str:
        return f"si{self.copies}" + (f"@{self.center}" if self.center else "")


@dataclass(frozen=True)
class _Scaled:
    """One scale copy."""

    factor: float
    center: float
    copies = 1

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return self.center + (z - self.center) * self.factor

    def in_box(self, box: tuple[float, float]) -> _Scaled:
        return _Scaled(self.factor, _part(self.center, box))


@dataclass(frozen=True)
class DI(Joinable):
    """Input diversity: a random resize and padding, back at the image's own size (Xie 2019, arXiv:1803.06978).

    Each row draws for itself, whole and fractional pixels alike: whole sizes would leave small images no choice.
    Vectors [b, d], which have no neighbouring pixels, are shown as they are.

    Args:
        p: how likely a row is changed at all.
        rate: > 1: the image grows by up to this factor inside a canvas of this size, which is then shrunk back, as in
            the paper (330 / 299); < 1: it shrinks to no less than this inside a canvas of its own size.
        pad: the value around it, a part of the box: 0 = black.
    """

    p: float = 0.5
    rate: float = 330 / 299
    pad: float = 0.0
    copies = 1

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1 or not 0 < self.rate < float("inf"):
            raise InputError(f"DI has p={self.p}, rate={self.rate}; p must be from 0 to 1, and rate above 0")

    @property
    def turns(self) -> Sequence[View | None]:
        return [self if self.p else None]

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        if z.dim() != 4:
            return z
        coin, grown, left, top = noise.uniform(4, dtype=z.dtype).unbind(1)
        low, canvas = min(1.0, self.rate), max(1.0, self.rate)
        size = low + (canvas - low) * grown
        rest = canvas - size
        scale, nothing = canvas / size, torch.zeros_like(size)
        shift_x, shift_y = rest * (1 - 2 * left) / size, rest * (1 - 2 * top) / size
        across = torch.stack([scale, nothing, shift_x], 1)
        down = torch.stack([nothing, scale, shift_y], 1)
        grid = F.affine_grid(torch.stack([across, down], 1), list(z.shape), align_corners=False)
        changed = F.grid_sample(z - self.pad, grid, align_corners=False) + self.pad
        return torch.where(per(coin < self.p, z), changed, z)

    def in_box(self, box: tuple[float, float]) -> DI:
        return replace(self, pad=_part(self.pad, box))

    def __str__(self) -> str:
        return f"di{self.p}" + ("" if self.rate == DI.rate else f"@{self.rate}")


def _part(share: float, box: tuple[float, float]) -> float:
    """The pixel at this part of the box."""
    return box[0] + share * (box[1] - box[0])
