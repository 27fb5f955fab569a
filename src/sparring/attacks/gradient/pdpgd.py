"""PDPGD: two players, one moves the point against a price of its size, the other sets the price.

    r = clip(z_k - a_k * Adam(grad softplus(-margin)))
    z_{k+1} = clip(prox of price * a_k * |z - x| at r, in Adam's metric)
    log of the price: + b_k after a hit, - b_k after a miss, and a running mean of the weights that it stands for

a_k: exponential 0.1 to 0.001, b_k: linear 0.1 to 0.01. Under L0 the prox is that of the 2/3 quasi-norm, in closed form.
Matyasko & Chau 2021, arXiv:2106.01538. It starts from the image, or from what the bout has found before.

Differs from the paper: 300 steps (a common port: 500, its other settings are the defaults here); lengths are in widths
of the box, the prox of the 2/3 quasi-norm is the global minimum; warm and adversarial starts, and a closing bisection,
see `blocks.primal_dual.descent`.
Fails on: few steps, as the price needs some hundred to settle.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.directions import Memory, adam
from sparring.blocks.primal_dual.descent import primal_dual
from sparring.blocks.primal_dual.dual import Dual
from sparring.blocks.primal_dual.proximal import proximal_step
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf


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
        steps: points that it looks at, a gradient at each but the last ones.
        lr: the first primal step. dual_lr: the first dual step. ratio: the first weight of the size over the mistake's.
    """

    steps: PositiveInt = 300
    lr: PositiveFloat = 0.1
    dual_lr: PositiveFloat = 0.1
    ratio: PositiveFloat = 0.01

    def run(self, bout: Bout) -> None:
        primal_dual(bout, self.steps, self.lr, self.dual_lr, self.ratio, _move, lost=True)


def _move(ball: Ball, z: Tensor, slope: Tensor, dual: Dual, a: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    step, memory = adam()(slope, memory)
    r = ball.clip(torch.addcmul(z, ball.column(-a * ball.width), step))
    return proximal_step(ball, r, memory, a * dual.ratio), memory
