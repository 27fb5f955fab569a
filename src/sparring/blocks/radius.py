"""How a search for the smallest perturbation changes the radius in which it looks: by a rate, or by a linear model."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.kernels import nonzero
from sparring.norms import L0, L1


def shrunk(ball: Ball, rate: float) -> Tensor:
    """[b] the radius less a share `rate` of it; under L0, which counts, at least one less."""
    eps = ball.eps * (1 - rate)
    return torch.minimum(eps.floor(), ball.eps - 1).clamp(min=0) if ball.norm == L0 else eps


def grown(ball: Ball, rate: float) -> Tensor:
    """[b] the radius and a share `rate` more; under L0 at least one more."""
    eps = ball.eps * (1 + rate)
    return torch.maximum(eps.floor(), ball.eps + 1) if ball.norm == L0 else eps


def boundary(ball: Ball, z: Tensor, gap: Tensor, g: Tensor, wanted: Tensor | None = None) -> Tensor:
    """[b] how far from x the boundary is, linearised at `z`: its size and what closes the `gap` [b] along `g`.

    Only for the rows that are `wanted`, bool [b], and 0 for the others; None = for all.
    """
    everywhere = torch.ones_like(gap, dtype=torch.bool)
    away, at = torch.zeros_like(gap), (everywhere if wanted is None else wanted).nonzero().squeeze(1)
    if not len(at):
        return away
    ball, z = ball[at], z[at]
    d = z - ball.x
    closing = ball.norm.to_hyperplane(g[at], gap[at], ball.low - d, ball.high - d)
    return away.index_copy(0, at, ball.distance(z) + ball.norm.size(closing))


def furthest_corner(ball: Ball) -> Tensor:
    """[b] the size of the largest perturbation that the box allows."""
    return ball.norm.size(torch.maximum(ball.high, -ball.low))


def slope_of_size(ball: Ball, z: Tensor) -> Tensor:
    """[b, ...] the gradient of the size of z - x under L1 or L2, zero at x itself."""
    d = z - ball.x
    return d.sign_() if ball.norm == L1 else d.div_(ball.column(nonzero(ball.norm.size(d))))


def length_of(ball: Ball, z: Tensor, step: Tensor, wanted: Tensor) -> Tensor:
    """[b] how many times `step` moves `z` by the size `wanted` [b], or to the end of the box; a zero step: `wanted`."""
    size = ball.norm.size(step)
    unbounded = wanted / torch.where(size > 0, nonzero(size), 1)
    low, high = torch.zeros_like(wanted), torch.full_like(wanted, 20.0)
    for _ in range(30):  # over the log2 of how much the box makes it longer
        middle = (low + high) / 2
        moved = ball.clip(z + ball.column(unbounded * 2**middle) * step) - z
        enough = ball.norm.size(moved) >= wanted
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return unbounded * 2**low
