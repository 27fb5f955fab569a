"""The game of PDGD and PDPGD: one player moves the point, the other sets the price of its size.

The price is dearer after each hit and cheaper after each miss (`blocks.dual`), so the point circles the boundary at
less and less size. Matyasko & Chau 2021, arXiv:2106.01538. Rows that come with a point that fools go on from there with
a tenth of the step and the price at which size and mistake would pull equally; so do, with the usual step, rows that
have found nothing after a quarter of the steps, from an adversarial start that their last steps pay for. At the end the
nearest point goes back towards x by bisection.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.closing import COST, close
from sparring.blocks.dual import Dual
from sparring.blocks.rules import Memory
from sparring.blocks.schedules import exponential, linear
from sparring.blocks.starts import adversarial_start
from sparring.bout import Bout
from sparring.losses import margin

Move = Callable[[Ball, Tensor, Tensor, Dual, Tensor, Memory], tuple[Tensor, Memory]]
"""(ball, z [b, ...], slope of the mistake [b, ...], dual, step [b], memory) -> next z, memory; lengths in box widths"""

WARM = 0.1


def play(bout: Bout, steps: int, lr: float, dual_lr: float, ratio: float, move: Move) -> None:
    """Search with the passes of `steps` points and gradients. `ratio`: the size's first weight over the mistake's."""
    part, looks = bout.child(0), max(steps - 1 - COST, 1)
    z, size = part.nearest_success
    fresh, width = size.isfinite(), bout.ball.width
    first = torch.full_like(size, lr * WARM).where(fresh, lr)
    dual, last, g = Dual.start(torch.full_like(size, ratio)), torch.full_like(size, looks), torch.zeros_like(z)
    memory: Memory = {}
    for k in range(looks):
        if k == looks // 4:
            z, cost = adversarial_start(part, z, g)
            fresh, last = cost > 0, last - cost
        gain, g = part.value_and_grad(z, margin)
        gain = gain.nan_to_num()
        z, dual, first, fresh, last, memory, gain, g = part.active(
            z, dual, first, fresh, last, memory, gain, g, done=k >= last
        )
        if not len(part):
            break
        dual, fresh = dual.balanced(fresh, part.ball, g), torch.zeros_like(fresh)
        slope = part.ball.column((-gain).sigmoid() * -width) * g  # of softplus(-margin)
        z, memory = move(part.ball, z, slope, dual, first * exponential(k, steps, 1.0, 0.01), memory)
        dual = dual.tell(gain, linear(k, steps, dual_lr, dual_lr / 10))
    part.submit(z)
    close(bout)
