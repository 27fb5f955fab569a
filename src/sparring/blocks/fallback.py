"""The fallback of minimum-norm searches: rows without a success go on from an adversarial start.

Written once, used by DDN, FMN, sigma-zero, ALMA and the primal-dual searches:

    if fallback.due(k):                                          once, after `patience` steps
        z, tried, fallback = fallback.restart(bout, z, g)        the start is paid for with the row's last steps
    ...
    bout.active(..., done=fallback.spent(k))
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.boundary import bisect_radius
from sparring.bout import Bout
from sparring.budget import BudgetSpent

HALVINGS = 8
STEPS = 6
"what a start costs, in steps of a forward and a backward pass each"


class Fallback(NamedTuple):
    """When a search falls back to an adversarial start, and how many steps each row can pay for.

    Attributes:
        at: the step before which it happens. last: [b] the step at which a row has spent its passes.
        stays: bool [b], rows that keep their way whatever happens: what they began from was found before.
        lost: only rows that have found nothing at all, not those that have found something beyond the ball.
    """

    at: int
    last: Tensor
    stays: Tensor
    lost: bool = False

    @classmethod
    def plan(cls, bout: Bout, steps: int, patience: int, lost: bool = False) -> Fallback:
        """For a search of `steps` steps, each a forward and a backward pass, after `patience` of them."""
        return cls(patience, torch.full_like(bout.eps, steps), bout.nearest_size.isfinite(), lost)

    def due(self, k: int) -> bool:
        return k == self.at

    def restart(self, bout: Bout, z: Tensor, g: Tensor) -> tuple[Tensor, Tensor, Fallback]:
        """Move the rows without a success to an adversarial start, found with the gradient `g` at `z` [b, ...].

        Returns:
            The points, bool [b]: which rows tried, and the fallback with what that costs them.
        """
        size = bout.nearest_size
        found = size.isfinite() & (self.stays | self.lost | (size <= bout.eps))
        z, cost = adversarial_start(bout, z, g, found)
        return z, cost > 0, self._replace(last=self.last - cost)

    def spent(self, k: int) -> Tensor:
        """bool [b]: at step `k` the row has spent its passes."""
        return k >= self.last


def adversarial_start(bout: Bout, z: Tensor, g: Tensor, found: Tensor) -> tuple[Tensor, Tensor]:
    """Find a fooling point near the boundary for rows without one; return points [b, ...] and costs in steps [b].

    Three far points are tried in turn: the corner of the box to which the gradient `g` points, grey, and the negative
    of the image. From the first that fools, bisection leads back towards x. Rows that none of them fools keep their z.
    `found`: bool [b], rows that need no start.
    """
    part, cost = bout.child(0), torch.zeros_like(bout.eps)
    at, z_far, g = part.active(torch.arange(len(z), device=z.device), z, g, done=found)
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
    except BudgetSpent:  # of these rows; they leave with the next `active`, and others may still pay
        return z, cost
    return z.index_copy(0, at, torch.where(part.ball.column(hit), near, z_far)), cost
