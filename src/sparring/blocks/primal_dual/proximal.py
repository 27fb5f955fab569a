"""A proximal step in the metric of Adam (Melchior, Joseph & Moolekamp 2019, arXiv:1910.10094)."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.directions import Memory
from sparring.norms import L2

ROUNDS, STILL = 5, 1e-2


def proximal_step(ball: Ball, r: Tensor, memory: Memory, price: Tensor) -> Tensor:
    """About the least over u in the box of |u - r|_H^2 / 2 + price [b] * |u - x|, H = Adam's root mean square.

    Sizes are in widths of the box, as the gradients in the memory must be.

    In a round u moves against H (u - r), scaled so that the largest entry of H is 1, then the norm's prox shrinks it.
    A row is done after a round that changed it by less than 1 %, or after five: pixels with a small H, whose price is
    relatively high, are shrunk no further.
    """
    peak, width = memory["metric"].flatten(1).amax(1), ball.width
    metric, price = memory["metric"] / ball.column(peak), price / peak
    aim, low, high = r - ball.x, ball.low, ball.high
    if width != 1:  # from here on in widths of the box, away from x
        aim, low, high = aim.div_(width), low / width, high / width
    u, moving = aim, torch.ones_like(peak, dtype=torch.bool)
    for turn in range(ROUNDS):
        after = ball.norm.prox(u.lerp(aim, metric) if turn else u, price).clamp_(low, high)
        if turn:  # rows that are done stay where they are
            after = u.lerp(after, ball.column(moving.to(u.dtype)))
        u, before = after, u
        if turn + 1 == ROUNDS:
            break
        moving = moving & (L2.size(u - before) > STILL * L2.size(u))
        if not bool(moving.any()):
            break
    return ball.clip(torch.add(ball.x, u, alpha=width))
