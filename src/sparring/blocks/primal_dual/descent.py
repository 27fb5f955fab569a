"""The search of PDGD and PDPGD: one player moves the point, the other sets the weight of its size.

The weight of the size rises after each hit and falls after each miss (`blocks.primal_dual.dual`), so the point circles
the boundary at a smaller and smaller size. Matyasko & Chau 2021, arXiv:2106.01538. Rows with an earlier success go on
from it with a tenth of the step, and with the weights at which size and mistake pull equally. Rows that have found
nothing after a quarter of the steps go on from an adversarial start (`blocks.fallback`) with such weights and the usual
step. At the end the nearest success is bisected back towards x.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.boundary import BISECTION_COST, final_bisection
from sparring.blocks.directions import Memory
from sparring.blocks.fallback import Fallback
from sparring.blocks.primal_dual.dual import Dual
from sparring.blocks.schedules import exponential, linear
from sparring.bout import Bout
from sparring.losses import margin

Move = Callable[[Ball, Tensor, Tensor, Dual, Tensor, Memory], tuple[Tensor, Memory]]
"""(ball, z [b, ...], slope of the mistake [b, ...], dual, step [b], memory) -> next z, memory; lengths in box widths"""

WARM = 0.1


def primal_dual(bout: Bout, steps: int, lr: float, dual_lr: float, ratio: float, move: Move, lost: bool) -> None:
    """Search with the passes of `steps` points and gradients.

    Args:
        ratio: the size's first weight over the mistake's. move: how the point moves.
        lost: rows that have found something beyond the ball go on from that, and not from an adversarial start.
    """
    part = bout.child(0)
    width = bout.ball.width
    points = max(steps - 1 - BISECTION_COST, 1)
    z, size = part.nearest_success
    g = torch.zeros_like(z)
    fresh = size.isfinite()  # rows that start at the boundary: their weights are balanced there first
    first = torch.full_like(size, lr * WARM).where(fresh, lr)
    dual = Dual.start(torch.full_like(size, ratio))
    memory: Memory = {}
    fallback = Fallback.plan(part, points, patience=points // 4, lost=lost)
    for k in range(points):
        if fallback.due(k):
            z, fresh, fallback = fallback.restart(part, z, g)
        gain, g = part.value_and_grad(z, margin)
        gain = gain.nan_to_num()
        z, dual, first, fresh, fallback, memory, gain, g = part.active(
            z, dual, first, fresh, fallback, memory, gain, g, done=fallback.spent(k)
        )
        if not len(part):
            break
        if k in (0, fallback.at):  # later none is
            dual = dual.balanced(fresh, part.ball, g)
            fresh = torch.zeros_like(fresh)
        slope = part.ball.column((-gain).sigmoid() * -width) * g  # of softplus(-margin)
        z, memory = move(part.ball, z, slope, dual, first * exponential(k, steps, 1.0, 0.01), memory)
        dual = dual.tell(gain, linear(k, steps, dual_lr, dual_lr / 10))
    part.submit(z)
    final_bisection(bout)
