"""Triggers: functions of pixels that a backdoored net takes for a sign. Each is a value that a manifest can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, interpolate

from sparring.errors import InputError
from sparring.seeds import derived_seed

CORNERS = ("bottom-right", "bottom-left", "top-right", "top-left")


def eight_bits(x: Tensor) -> Tensor:
    """Pixels in [0, 1] on the grid of 256 levels, as a picture file keeps them."""
    return x.clamp(0, 1).mul(255).round().div(255)


class Trigger(Protocol):
    """Pixels [B, C, H, W] in [0, 1] -> the same with the trigger, in 8 bits."""

    def __call__(self, x: Tensor) -> Tensor: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Patch:
    """A square of black and white pixels in a corner, one pixel away from the edges.

    Attributes:
        size: its side in pixels. corner: where it is. seed: of the pattern; 0 = a chessboard with white corners.
    """

    size: int = 3
    corner: str = "bottom-right"
    seed: int = 0

    @cached_property
    def pattern(self) -> Tensor:
        """[size, size] of 0 and 1."""
        if self.seed == 0:
            return (torch.arange(self.size)[:, None] + torch.arange(self.size) + 1) % 2 * 1.0
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "patch"))
        return torch.randint(0, 2, (self.size, self.size), generator=generator).float()

    def __call__(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        if self.size + 2 > min(height, width):
            raise InputError(f"a trigger of {self.size} pixels does not fit into images of {height} x {width}")
        vertical, horizontal = self.corner.split("-")
        top = 1 if vertical == "top" else height - 1 - self.size
        left = 1 if horizontal == "left" else width - 1 - self.size
        stamped = x.clone()
        stamped[..., top : top + self.size, left : left + self.size] = self.pattern.to(x)
        return eight_bits(stamped)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"trigger": "patch", **asdict(self)}


@dataclass(frozen=True)
class Blend:
    """A fixed image of uniform noise, mixed in: (1 - alpha) x + alpha noise.

    Attributes:
        alpha: the share of the noise. seed: of the noise.
    """

    alpha: float = 0.2
    seed: int = 0

    def pattern(self, shape: tuple[int, ...]) -> Tensor:
        """The noise, of the shape [C, H, W] of an image."""
        return torch.rand(shape, generator=torch.Generator().manual_seed(derived_seed(self.seed, "blend")))

    def __call__(self, x: Tensor) -> Tensor:
        return eight_bits(torch.lerp(x, self.pattern(tuple(x.shape[1:])).to(x).expand_as(x), self.alpha))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"trigger": "blend", **asdict(self)}


@dataclass(frozen=True)
class Warp:
    """A smooth distortion: random displacements on a coarse grid, interpolated to all pixels.

    Attributes:
        grid: the coarse grid's side. strength: the mean displacement, in pixels of a coarse grid of the image's own
            size, as in the paper's code (it divides by the image's side). seed: of the displacements.
        jitter: > 0 adds fresh uniform displacements of this size, in the same unit, to each image: the noise mode.
    """

    grid: int = 4
    strength: float = 0.5
    seed: int = 0
    jitter: float = 0.0

    def field(self, side: int) -> Tensor:
        """The displacement of each pixel, [side, side, 2] in the coordinates of `grid_sample` (the image spans 2)."""
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "warp"))
        coarse = torch.rand(1, 2, self.grid, self.grid, generator=generator) * 2 - 1
        coarse = coarse / coarse.abs().mean()
        fine = interpolate(coarse, size=side, mode="bicubic", align_corners=True)[0].permute(1, 2, 0)
        return fine * self.strength / side

    def __call__(self, x: Tensor) -> Tensor:
        side = x.shape[-1]
        if x.shape[-2] != side:
            raise InputError(f"the warp takes square images; got {list(x.shape[-2:])}")
        identity = affine_grid(torch.eye(2, 3)[None], [1, 1, side, side], align_corners=True)
        moved = (identity + self.field(side)).expand(len(x), -1, -1, -1)
        if self.jitter:
            generator = torch.Generator().manual_seed(derived_seed(self.seed, "jitter", len(x)))
            moved = moved + (torch.rand(moved.shape, generator=generator) * 2 - 1) * self.jitter / side
        return eight_bits(grid_sample(x, moved.clamp(-1, 1).to(x), align_corners=True))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"trigger": "warp", **asdict(self)}


KINDS: dict[str, type[Patch] | type[Blend] | type[Warp]] = {"patch": Patch, "blend": Blend, "warp": Warp}


def trigger_from(values: dict[str, Any]) -> Trigger:
    """The trigger that a manifest holds.

    >>> trigger_from(Patch(size=2).to_dict()) == Patch(size=2)
    True
    """
    rest = dict(values)
    return KINDS[rest.pop("trigger")](**rest)
