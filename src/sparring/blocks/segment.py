"""Where the straight line from the clean image to a point that fools meets the boundary."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bout import Bout

BEYOND = 0.02
"the margin aimed at, of that of the last point that fooled: at zero itself, rounding would decide"


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
