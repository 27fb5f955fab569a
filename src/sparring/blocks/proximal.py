"""A proximal step in the metric of Adam (Melchior, Joseph & Moolekamp 2019, arXiv:1910.10094)."""

from __future__ import annotations

from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.rules import Memory
from sparring.norms import Linf

ROUNDS = 5


def proximal_step(ball: Ball, r: Tensor, memory: Memory, price: Tensor) -> Tensor:
    """argmin over u in the box of |u - r|_H^2 / 2 + price [b] * |u - x|, H = Adam's root mean square: a few rounds.

    In a round u moves against H (u - r), scaled so that the largest entry of H is 1, then the norm's prox shrinks it.
    """
    peak = Linf.size(memory["metric"])
    metric, price = memory["metric"] / ball.column(peak), price / peak
    u = r
    for _ in range(ROUNDS):
        d = u - metric * (u - r) - ball.x
        u = ball.clip(ball.x + ball.norm.prox(d, price))
    return u
