"""What transforms are made of: a base that joins them with `|`, and the warp that camera moves share.

Places in a picture are measured from its middle, and the longer side runs from -1 to 1, so that a rotation is one on
pictures of any shape. A matrix maps where a pixel is shown to where it is taken from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import reduce
from itertools import groupby
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.rng import Noise

Show = Callable[[Tensor, Noise], Tensor]
"(points [b, ...], their noise) -> what is shown instead, differentiable, drawn afresh for each sample"

NEAR = 0.05
"the smallest depth: what a strong tilt puts behind the camera is far outside instead"


class Transform:
    """A random change of a picture, a frozen value. Called as `Show` says; `a | b` is first a, then b."""

    name: ClassVar[str]

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        raise NotImplementedError

    def in_box(self, box: tuple[float, float]) -> Transform:
        """The same on pixels of `box`: lengths and values are parts of it (0 = its low end, 1 = its high end)."""
        return self

    def __or__(self, other: Show) -> Chain:
        return Chain((*_steps(self), *_steps(other)))

    def __str__(self) -> str:
        return ":".join([self.name, *(f"{value:g}" for value in astuple(self))])  # type: ignore[call-overload]


class Warp(Transform):
    """A random move of the camera. Inputs without height and width, [b, d], are left alone."""

    def matrix(self, noise: Noise, half: Tensor) -> Tensor:
        """[b, 3, 3], drawn afresh. `half`: [2] half the width and half the height of the picture."""
        raise NotImplementedError

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return _moved(z, noise, [self])


@dataclass(frozen=True)
class Chain(Transform):
    """Transforms one after the other; neighbours that move the camera are one warp, so pixels are interpolated once.

    Without any, it shows the point itself.
    """

    steps: tuple[Show, ...] = ()

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        for kind, group in groupby(self.steps, key=lambda step: isinstance(step, Warp)):
            steps = list(group)
            moves = [step for step in steps if isinstance(step, Warp)]
            z = _moved(z, noise, moves) if kind else reduce(lambda shown, step: step(shown, noise), steps, z)
        return z

    def in_box(self, box: tuple[float, float]) -> Chain:
        return Chain(tuple(step.in_box(box) if isinstance(step, Transform) else step for step in self.steps))

    def __str__(self) -> str:
        return "+".join(map(spelled, self.steps)) or "identity"


def spelled(show: Show) -> str:
    """How a transform is written in a spec; a function of the user's own goes by its name."""
    return str(show) if isinstance(show, Transform) else getattr(show, "__name__", type(show).__name__)


def _steps(show: Show) -> tuple[Show, ...]:
    return show.steps if isinstance(show, Chain) else (show,)


def _moved(z: Tensor, noise: Noise, moves: list[Warp]) -> Tensor:
    """Several moves of the camera as one."""
    if z.dim() < 3:
        return z
    half = half_sides(z)
    return warp(z, reduce(torch.matmul, (move.matrix(noise, half) for move in moves)))


def half_sides(z: Tensor) -> Tensor:
    """[2] half the width and half the height of pictures [..., H, W]: 1 for the longer side."""
    height, width = z.shape[-2:]
    return z.new_tensor([width, height]) / max(width, height)


def warp(z: Tensor, matrix: Tensor, beyond: Literal["border", "zeros"] = "border") -> Tensor:
    """Pictures [b, ..., H, W] seen through homographies [b, 3, 3], bilinear; beyond the edge, the edge goes on."""
    height, width = z.shape[-2:]
    half = half_sides(z)
    x, y = (
        ((2 * torch.arange(count, device=z.device, dtype=z.dtype) + 1) / count - 1) * size
        for count, size in zip((width, height), half, strict=True)
    )
    down, right = torch.meshgrid(y, x, indexing="ij")
    shown = torch.stack([right, down, torch.ones_like(right)], -1).reshape(1, -1, 3)
    taken = shown @ matrix.transpose(1, 2)
    taken = taken[..., :2] / taken[..., 2:].clamp(min=NEAR) / half
    planes = z.reshape(len(z), -1, height, width)
    grid = taken.reshape(len(z), height, width, 2)
    return F.grid_sample(planes, grid, padding_mode=beyond, align_corners=False).reshape(z.shape)
