"""What every norm must be: the properties of a projection and of a best step, on random small cases."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.norms import Norm
from sparring.testing.case import demand
from sparring.testing.fixtures import generator


def check_norm(norm: Norm, cases: int = 20) -> None:
    """Put a norm through its properties; raises AssertionError with the name of the one that fails.

    inside: projections keep to ball and box. idempotent: projecting twice changes nothing. inert: what is inside
    stays, whoever else is in the batch. nearest: no allowed point is nearer (L0: no other choice of pixels found).
    linear_maximizer: no allowed point gains more along a gradient. unit: steps have size 1 and gain what the dual norm
    says.
    """
    for seed in range(cases):
        x, d, g, eps = _draw(seed)
        low, high = -x, 1 - x
        count = norm.p == 0
        eps = eps.ceil() if count else eps
        p = norm.project(d, eps, low, high)
        demand(_inside(norm, p, eps, low, high), "inside: a projection leaves the ball or the box")
        again = norm.project(p, eps, low, high)
        demand(torch.allclose(p, again, atol=1e-9), "idempotent: projecting twice is not projecting once")
        half = torch.cat([p[:3], d[3:]])  # three rows that are inside beside others that are not
        kept = norm.project(half, eps, low, high)[:3]
        demand(torch.allclose(kept, p[:3], atol=1e-9), "inert: what is inside the ball is moved")
        best = norm.linear_maximizer(g, eps, low, high)
        demand(_inside(norm, best, eps, low, high), "inside: the linear_maximizer point leaves the ball or the box")
        for other in range(10):
            q = norm.project(_draw(1000 + 10 * seed + other)[1], eps, low, high)
            nearer = (q - d).square().sum(1) < (p - d).square().sum(1) - 1e-9
            demand(not bool(nearer.any()), "nearest: an allowed point is nearer than the projection")
            if not count:  # convex: the angle at the projection is never acute, a sharper test of the same
                acute = ((d - p) * (q - p)).sum(1) > 1e-7 * (1 + d.abs().sum(1))
                demand(not bool(acute.any()), "nearest: an allowed point is nearer than the projection")
            more = ((g * q).sum(1) > (g * best).sum(1) + 1e-9).any()
            demand(not bool(more), "linear_maximizer: an allowed point gains more")
        if not count:
            step = norm.steepest(g)
            demand(torch.allclose(norm.size(step), torch.ones(len(g)).double()), "unit: a step is not of size 1")
            demand(torch.allclose((g * step).sum(1), norm.dual_size(g)), "unit: a step gains less than the dual norm")


def _draw(seed: int, rows: int = 6, n: int = 8) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Images with pixels at 0 and 1, points inside and outside the ball, gradients, radii."""
    source = generator(seed)
    x = (torch.rand(rows, n, generator=source, dtype=torch.float64) * 2 - 0.5).clamp(0, 1)
    d = torch.randn(rows, n, generator=source, dtype=torch.float64)
    g = torch.randn(rows, n, generator=source, dtype=torch.float64)
    eps = torch.rand(rows, generator=source, dtype=torch.float64) * 2 + 0.05
    return x, d, g, eps


def _inside(norm: Norm, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> bool:
    within = (norm.size(d) <= eps * (1 + 1e-9)).all() and (d >= low - 1e-12).all() and (d <= high + 1e-12).all()
    return bool(within)
