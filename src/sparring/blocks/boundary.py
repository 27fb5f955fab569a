"""Ways back from a point that fools to the boundary near it: bisection over the radius, and the secant on a segment."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bout import Bout

HALVINGS = 8
"queries of the final bisection"
BISECTION_COST = HALVINGS // 2
"the same in steps, of a forward and a backward pass each"
BEYOND = 0.02
"the margin aimed at, of that of the last point that fooled: at zero itself, rounding would decide"


def bisect_radius(bout: Bout, z: Tensor, steps: int) -> Tensor:
    """Points between x and `z` [b, ...] that still fool, after `steps` queries; rows where `z` does not fool keep it.

    A point of radius r is `z` projected onto the ball of radius r: shorter (L2), clipped (Linf), thinned out (L0, L1).
    Rows never leave on the way.
    """
    high = bout.ball.distance(z)
    low, nearest = torch.zeros_like(high), z
    for _ in range(steps):
        middle = (low + high) / 2
        point = bout.ball.with_eps(middle).project(z)
        fooled = bout.fooled(point)
        nearest = torch.where(bout.ball.column(fooled), point, nearest)
        low, high = torch.where(fooled, low, middle), torch.where(fooled, middle, high)
    return nearest


def final_bisection(bout: Bout) -> None:
    """Bisect from each row's nearest success back towards x: `HALVINGS` queries, for rows that left earlier as well."""
    part = bout.child(1)
    part.active(done=~part.nearest_size.isfinite())
    if len(part):
        bisect_radius(part, part.nearest_success[0], HALVINGS)


def fools(bout: Bout, z: Tensor) -> Tensor:
    """bool [b]: does `z` reach the goal? One query; `bout.fooled`, with the margin noted."""
    return bout.goal.margin(bout.logits(z)) > 0


def secant(bout: Bout, z: Tensor, queries: int) -> None:
    """Look for the boundary between x and `z` [b, ...]: the referee keeps the nearest point that fools.

    The first query is `z` itself; the others go just beyond where the margin, linear between the two known ends, would
    be zero. An end that stays twice in a row counts half (the Illinois rule, Dowell & Jarratt 1971,
    doi:10.1007/BF01934364), or it would stay for ever.
    """
    column, x = bout.ball.column, bout.x
    left, right = bout.goal.margin(bout.clean_logits), bout.goal.margin(bout.logits(z))
    low, high = torch.zeros_like(left), torch.ones_like(left)
    before, least = torch.zeros_like(left), BEYOND / 100 * left.abs()
    for _ in range(queries - 1):
        wanted = torch.maximum(BEYOND * right, least)
        share = ((wanted - left) / (right - left)).clamp(0.02, 0.98)
        share = torch.where(right > 0, low + (high - low) * share, 1.0)
        margin = bout.goal.margin(bout.logits(x + column(share) * (z - x)))
        fooled = margin > 0
        side = torch.where(fooled, 1.0, -1.0)
        again = torch.where(side == before, 0.5, 1.0)
        low, high = torch.where(fooled, low, share), torch.where(fooled, share, high)
        left = torch.where(fooled, left * again, margin)
        right = torch.where(fooled, margin, right * again)
        before = side
