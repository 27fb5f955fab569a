"""PDPGD: two players, one moves the point against a price of its size, the other sets the price.

    r = clip(z_k + a_k * Adam(grad -softplus(-margin)));   z_{k+1} = clip(prox of price * a_k * |.| at r; Adam's metric)
    log price: - b_k * sign(-margin), that is dearer after a hit, cheaper after a miss, then a running mean

a_k: exponential 0.1 to 0.001, b_k: linear 0.1 to 0.01. Under L0 the prox of the 2/3 quasi-norm, in closed form.
Matyasko & Chau 2021, arXiv:2106.01538. It starts from the image, or from what the bout has found before.

Differs from the paper: lengths are in widths of the box; rows with nothing found after a quarter of the steps go on
from an adversarial start, paid for with their last steps.
Fails on: L0 on nets whose gradient is flat near the image (heavy tails).
"""

from __future__ import annotations

import os

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.dual import Dual
from sparring.blocks.proximal import proximal_step
from sparring.blocks.rules import Memory, adam
from sparring.blocks.schedules import exponential, linear
from sparring.blocks.starts import adversarial_start
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L0, L1, L2, Linf

W, R = float(os.environ.get("W", "0.1")), float(os.environ.get("R", "1.0"))


@register(
    "pdpgd",
    title="PDPGD",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    aim="minimum",
    year=2021,
    paper="arXiv:2106.01538",
    aliases=("primal-dual-proximal",),
    peers=("adv-lib",),
)
class PDPGD(Attack):
    """Primal-dual proximal gradient descent (Matyasko & Chau 2021).

    Args:
        steps: points that it looks at, a gradient at each but the last.
        lr: the first primal step. dual_lr: the first dual step. ratio: the first price, size over mistake.
    """

    steps: PositiveInt = 300
    lr: PositiveFloat = 0.1
    dual_lr: PositiveFloat = 0.1
    ratio: PositiveFloat = 0.01

    def run(self, bout: Bout) -> Tensor | None:
        width, rule = bout.ball.box[1] - bout.ball.box[0], adam()
        z, size = bout.found
        warm = size.isfinite()
        first, ratio = (torch.full_like(size, v).where(warm, u) for v, u in ((W * self.lr, self.lr), (R, self.ratio)))
        dual, last = Dual.start(ratio), torch.full_like(size, self.steps - 1)
        memory: Memory = {}
        g = torch.zeros_like(z)
        for k in range(self.steps - 1):
            if k == self.steps // 4:
                z, cost = adversarial_start(bout, z, g)
                last = last - cost
            gain, g = bout.value_and_grad(z, margin)
            z, dual, first, last, memory, gain, g = bout.standing(z, dual, first, last, memory, gain, g, done=k >= last)
            if not len(bout):
                return None
            column, a = bout.ball.column, first * exponential(k, self.steps, 1.0, 0.01)
            step, memory = rule(column((-gain).sigmoid() * width) * g, memory)
            z = proximal_step(bout.ball, bout.ball.clip(z + column(a * width) * step), memory, a * dual.ratio)
            dual = dual.tell(gain, linear(k, max(self.steps - 1, 1), self.dual_lr, self.dual_lr / 10))
        return z
