"""The way back from a point that fools to the nearest that still does: binary search over the radius of the ball."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bout import Bout


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
