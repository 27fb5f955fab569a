"""Views that cut a picture into parts at random places and change each on its own: SIA and BSR.

What a net sees in a picture then stands in another order or form; what fools it all the same fools other nets, too.
Every image has cuts of its own. Vectors [b, d], which have no parts, are shown as they are.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.estimators.bases import cosines
from sparring.blocks.views.augment import Joinable
from sparring.blocks.views.chain import warp
from sparring.errors import InputError
from sparring.rng import Noise
from sparring.threat import Box

NUMBERS = 256
"random numbers of an image, for one copy"
KEPT = 0.6
"the share of each side's frequencies that is kept"
SHRUNK = 0.8
"the side of a part that is made smaller and larger again"
GRAIN = 16 / 255
DROPPED = 0.1


class Dice:
    """Random numbers of one image, one after the other."""

    def __init__(self, numbers: list[float], grain: Noise) -> None:
        self._numbers, self.grain = iter(numbers), grain

    def share(self) -> float:
        """Uniform in [0, 1)."""
        return next(self._numbers)

    def below(self, count: int) -> int:
        """A whole number in [0, count)."""
        return min(int(self.share() * count), count - 1)

    def order(self, count: int) -> list[int]:
        """The numbers below `count` in random order."""
        keys = [self.share() for _ in range(count)]
        return sorted(range(count), key=keys.__getitem__)

    def cuts(self, length: int, count: int) -> list[int]:
        """Lengths of `count` parts that make up `length`, each at least 1 long; fewer where it is too short."""
        count = min(count, length)
        places = sorted(self.below(length - count + 1) for _ in range(count - 1))
        at = [0, *(1 + place + k for k, place in enumerate(places)), length]
        return [b - a for a, b in pairwise(at)]


def _each(z: Tensor, noise: Noise, change: Callable[[Tensor, Dice], Tensor], box: Box) -> Tensor:
    """`change` of each picture [C, H, W], which it sees with pixels from 0 to 1."""
    if z.dim() != 4 or not len(z):
        return z
    if box != (0.0, 1.0):
        low, width = box[0], box[1] - box[0]
        return low + width * _each((z - low) / width, noise, change, (0.0, 1.0))
    numbers = noise.uniform(NUMBERS, dtype=torch.float64).tolist()
    grain = noise.fold(noise.drawn)
    rows = torch.arange(len(z), device=z.device)
    return torch.stack([change(z[i], Dice(numbers[i], grain[rows[i : i + 1]])) for i in range(len(z))])


@dataclass(frozen=True)
class SIA(Joinable):
    """Structure-invariant copies: each of parts x parts pieces changed in one of ten ways (Wang et al. 2023).

    arXiv:2309.14700. Shifted round (down, across), flipped (down, across, both), dimmed, with noise, shrunk and
    enlarged, without its high frequencies, with some channels dropped.

    Args:
        copies: passes for each gradient. parts: pieces along each side. p: the chance of a part to be changed at all.
        box: of the pixels; its low end is black.
    """

    copies: int = 20
    parts: int = 3
    p: float = 1.0
    box: Box = (0.0, 1.0)

    def __post_init__(self) -> None:
        _check(self, self.copies, self.parts)

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        def change(picture: Tensor, dice: Dice) -> Tensor:
            widths = dice.cuts(picture.shape[2], self.parts)
            lines = torch.split(picture, dice.cuts(picture.shape[1], self.parts), 1)
            return torch.cat([torch.cat([one(part, dice) for part in torch.split(x, widths, 2)], 2) for x in lines], 1)

        def one(part: Tensor, dice: Dice) -> Tensor:
            changed = self.p >= 1 or dice.share() < self.p
            return CHANGES[dice.below(len(CHANGES))](part, dice) if changed else part

        return _each(z, noise, change, self.box)

    def in_box(self, box: Box) -> SIA:
        return replace(self, box=box)

    def __str__(self) -> str:
        return _spelled("sia", self.copies, (f"{self.parts}", f"{self.p:g}"), (f"{SIA.parts}", f"{SIA.p:g}"))


@dataclass(frozen=True)
class BSR(Joinable):
    """Pieces in random order, each strip of them rotated by a random angle (Wang et al. 2024).

    arXiv:2308.10299: block shuffle and rotation.

    Args:
        copies: passes for each gradient. parts: pieces along each side. angle: of the rotation at most, in degrees.
        box: of the pixels; its low end is black.
    """

    copies: int = 20
    parts: int = 2
    angle: float = 24.0
    box: Box = (0.0, 1.0)

    def __post_init__(self) -> None:
        _check(self, self.copies, self.parts)

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        def shuffled(picture: Tensor, dice: Dice, side: int) -> list[Tensor]:
            strips = torch.split(picture, dice.cuts(picture.shape[side], self.parts), side)
            return [strips[k] for k in dice.order(len(strips))]

        def change(picture: Tensor, dice: Dice) -> Tensor:
            side = 1 + dice.below(2)
            strips = shuffled(picture, dice, side)
            turned = [_rotated(strip, (2 * dice.share() - 1) * self.angle) for strip in strips]
            return torch.cat([torch.cat(shuffled(strip, dice, 3 - side), 3 - side) for strip in turned], side)

        return _each(z, noise, change, self.box)

    def in_box(self, box: Box) -> BSR:
        return replace(self, box=box)

    def __str__(self) -> str:
        return _spelled("bsr", self.copies, (f"{self.parts}", f"{self.angle:g}"), (f"{BSR.parts}", f"{BSR.angle:g}"))


def _spelled(name: str, copies: int, numbers: tuple[str, ...], defaults: tuple[str, ...]) -> str:
    """As it is written in specs: the numbers up to the last that is no default."""
    last = max(
        (k + 1 for k, (mine, usual) in enumerate(zip(numbers, defaults, strict=True)) if mine != usual), default=0
    )
    return "@".join([f"{name}{copies}", *numbers[:last]])


def _check(view: object, copies: int, parts: int) -> None:
    if copies < 1 or not 1 <= parts <= 5:
        raise InputError(f"{type(view).__name__} has {copies} copies and {parts} parts; at least 1 copy, 1 to 5 parts")


def _rotated(part: Tensor, degrees: float) -> Tensor:
    """A part [C, h, w] turned around its middle; black comes in at the corners."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return warp(part[None], part.new_tensor([[[c, -s, 0], [s, c, 0], [0, 0, 1]]]), "zeros")[0]


def _resized(part: Tensor, dice: Dice) -> Tensor:
    small = [max(1, round(SHRUNK * side)) for side in part.shape[1:]]
    shrunk = F.interpolate(part[None], small, mode="bilinear", align_corners=False)
    return F.interpolate(shrunk, part.shape[1:], mode="bilinear", align_corners=False)[0]


def _smoothed(part: Tensor, dice: Dice) -> Tensor:
    down, across = (cosines(side, part)[: max(1, round(KEPT * side))] for side in part.shape[1:])
    low: Tensor = down.T @ (down @ part @ across.T) @ across
    return low


def _grainy(part: Tensor, dice: Dice) -> Tensor:
    return part + GRAIN * (2 * dice.grain.uniform(*part.shape, dtype=part.dtype)[0] - 1)


def _thinned(part: Tensor, dice: Dice) -> Tensor:
    kept = part.new_tensor([dice.share() >= DROPPED for _ in range(min(len(part), 3))])
    return part * F.pad(kept, (0, len(part) - len(kept)), value=1.0)[:, None, None] / (1 - DROPPED)


CHANGES: tuple[Callable[[Tensor, Dice], Tensor], ...] = (
    lambda part, dice: part.roll(dice.below(part.shape[1]), 1),
    lambda part, dice: part.roll(dice.below(part.shape[2]), 2),
    lambda part, dice: part.flip(1),
    lambda part, dice: part.flip(2),
    lambda part, dice: part.flip(1, 2),
    lambda part, dice: part * dice.share(),
    _grainy,
    _resized,
    _smoothed,
    _thinned,
)
