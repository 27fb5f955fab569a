"""Where a search for the smallest perturbation starts again when its gradients lead nowhere."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.boundary import bisect_radius
from sparring.bout import Bout
from sparring.budget import BudgetSpent

HALVINGS = 8
STEPS = 6
"what a start costs, in steps of a forward and a backward each"


def adversarial_start(bout: Bout, z: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """`z` [b, ...], but a point near the boundary that fools where nothing had been found, and the cost [b] in steps.

    The first that fools of three far points: the corner of the box that a linear model would fear most, by the
    gradient `g`; grey; the negative image. Then back towards x by bisection. Rows that none of them fools keep their z.
    """
    part, cost = bout.child(0), torch.zeros_like(bout.eps)
    at, z_far, g = part.active(torch.arange(len(z), device=z.device), z, g, done=bout.nearest_success[1].isfinite())
    if not len(part):
        return z, cost
    cost[at] = STEPS
    low, high = part.ball.box
    grey = part.ball.clip(torch.full_like(part.x, (low + high) / 2))
    corner = part.ball.with_eps(torch.full_like(part.eps, torch.inf)).linear_maximizer(g)
    try:
        far, hit = corner, part.fooled(corner)
        for other in (grey, part.ball.clip(low + high - part.x)):
            far = torch.where(part.ball.column(hit), far, other)
            hit = part.fooled(far)
        near = bisect_radius(part, far, HALVINGS)
    except BudgetSpent:  # of these rows; they leave with the next `standing`, and others may still pay
        return z, cost
    return z.index_copy(0, at, torch.where(part.ball.column(hit), near, z_far)), cost
