"""From a point that fools, however far, into a ball that shrinks: each step up the loss and inwards, while it holds.

    r' = r (1 - cut);   z' = z + step * r' * steepest(momentum of g), projected on the ball of r';   z <- z' if it holds

Where it does not, the cut is halved, and at last none. Ilyas et al. 2018, arXiv:1804.08598 (partial information).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.blocks.directions import Memory, momentum
from sparring.bout import Bout

Estimate = Callable[[Bout, Tensor], Tensor]
"""(bout, points [b, ...]) -> gradients [b, ...]."""
Holds = Callable[[Bout, Tensor, Tensor], Tensor]
"""(bout, points [b, ...], wanted bool [b]) -> bool [b]: does the point still hold? Those not wanted cost nothing."""

TRIES = 4
LEAST = 1e-3


def narrow(
    bout: Bout, z: Tensor, estimate: Estimate, holds: Holds, steps: int, step: float, cut: float, decay: float
) -> None:
    """Shrink the ball around x that holds `z` [b, ...], down to eps; then go on inside that.

    Args:
        step: the length of a step as a fraction of the radius. cut: by how much of itself the radius shrinks at most.
        decay: of the momentum.
    """
    rule, memory = momentum(decay), Memory()
    radius = bout.ball.distance(z)
    share, length = torch.full_like(radius, cut), torch.full_like(radius, step)
    goal = torch.where(bout.eps.isfinite(), bout.eps, 0)
    for _ in range(steps):
        g = estimate(bout, z)
        z, g, memory, radius, share, length, goal = bout.active(z, g, memory, radius, share, length, goal)
        if not len(bout):
            return
        g, memory = rule(g, memory)
        held, by = torch.zeros_like(radius, dtype=torch.bool), share
        for turn in range(TRIES):
            by = torch.where(held, by, by / 2 if turn else by)
            by = by if turn < TRIES - 1 else torch.where(held, by, 0)
            smaller = torch.maximum(radius * (1 - by), goal.minimum(radius))
            point = bout.ball.with_eps(smaller).project(bout.ball.step(z, g, length * smaller))
            new = holds(bout, point, ~held)
            z = torch.where(bout.ball.column(new), point, z)
            radius, held = torch.where(new, bout.ball.distance(point), radius), held | new
            if bool(held.all()):
                break
        share = torch.where(by < share, by.clamp(min=LEAST), (1.5 * share).clamp(max=cut))
        length = torch.where(held, (1.2 * length).clamp(max=step), (length / 2).clamp(min=LEAST))
