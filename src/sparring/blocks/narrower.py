"""Random search for the smallest perturbation: in a ball of each row's own that shrinks whenever the row is fooled.

fooled -> radius = (1 - cut) * its size;   not for `patience` queries -> half way back to the nearest success
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.rises import rises
from sparring.bout import Bout, LossFunction

LEAST = 0.005
"of the radius: the smallest cut"

Propose = Callable[[Ball, Tensor, int], Tensor]
"""(ball, points [b, ...], number of the query) -> changed points inside the ball."""


def narrow_search(
    bout: Bout, propose: Propose, loss: LossFunction, cut: float, patience: int, queries: int, z: Tensor
) -> None:
    """Keep what raises the loss; `z` [b, ...] fools. Each query is one row's proposal, or its point in a new ball.

    Args:
        loss: what must rise, whatever its sign. cut: by how much of itself the radius shrinks, at first.
        patience: queries without success after which the ball grows again, half way, and the cut is halved.
    """
    share = torch.full_like(bout.eps, cut)
    near, size = z, bout.ball.distance(z)  # not the bout's: that knows none outside the ball
    radius = (1 - share) * size
    value, age = torch.full_like(radius, -torch.inf), torch.zeros_like(radius)
    fresh = torch.ones_like(radius, dtype=torch.bool)
    for k in range(queries):
        z, near, size, radius, share, value, age, fresh = bout.active(z, near, size, radius, share, value, age, fresh)
        if not len(bout):
            return
        column, ball = bout.ball.column, bout.ball.with_eps(radius)
        new = torch.where(column(fresh), ball.project(z), propose(ball, z, k))
        logits = bout.logits(new)
        asked = loss(logits, bout.goal)
        better = fresh | rises(asked, value)
        z, value = torch.where(column(better), new, z), torch.where(better, asked, value)
        hit, age = bout.margin(logits) > 0, torch.where(fresh, 0, age + 1)
        nearer = hit & ((length := bout.ball.distance(new)) < size)
        near, size = torch.where(column(nearer), new, near), torch.where(nearer, length, size)
        stuck = ~hit & (age >= patience)
        share = torch.where(hit, (1.2 * share).clamp(max=cut), torch.where(stuck, (share / 2).clamp(min=LEAST), share))
        z = torch.where(column(stuck), near, z)
        radius = torch.where(hit | stuck, (1 - share) * size, radius)
        fresh = hit | stuck
