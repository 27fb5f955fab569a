"""Views of a point from fixed places around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.bout import Bout
from sparring.rng import Noise


@dataclass(frozen=True)
class Shift:
    """The point moved by a fixed `step` [b, ...], as far as the box lets it."""

    step: Tensor
    box: tuple[float, float]
    copies: int = 1

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return (z + self.step).clamp(*self.box)


def orthogonal(bout: Bout, count: int, radius: float) -> Tensor:
    """[b, m, ...]: random directions of each row, at right angles, of `radius` widths of the box a pixel (root mean
    square); m is `count`, or the number of pixels if that is less."""
    shape = bout.x.shape[1:]
    pixels = math.prod(shape)
    count = min(count, pixels)
    if not count:
        return bout.x.new_zeros(len(bout), 0, *shape)
    drawn = bout.noise.fold(0).normal(pixels, count, dtype=bout.x.dtype)
    low, high = bout.ball.box
    q, r = torch.linalg.qr(drawn)
    q = q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None]  # else the signs are the algorithm's, not random
    directions = q * (radius * (high - low) * math.sqrt(pixels))
    turned: Tensor = directions.transpose(1, 2)
    return turned.reshape(len(bout), count, *shape)
