"""PDGD: Adam on a weighted sum of size and mistake, while a second player moves the weight.

    z_{k+1} = clip(z_k - a_k * Adam(grad ((1 - w) |z - x|_2 + w softplus(-margin))))
    log odds of w: - b_k after a hit, + b_k after a miss, and a running mean of w

a_k: exponential 0.1 to 0.001, b_k: linear 0.1 to 0.01.
Matyasko & Chau 2021, arXiv:2106.01538. It starts from the image, or from what the bout has found before.

Differs from the paper: 300 steps (a common port: 500, its other settings are the defaults here); lengths are in widths
of the box; warm and adversarial starts, and a closing bisection, see `blocks.primal_dual.descent`.
Fails on: few steps, as the weight needs some hundred to settle.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.directions import Memory, adam
from sparring.blocks.primal_dual.descent import primal_dual
from sparring.blocks.primal_dual.dual import Dual
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "pdgd",
    title="PDGD",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    year=2021,
    paper="arXiv:2106.01538",
    aliases=("primal-dual",),
    peers=("adv-lib",),
)
class PDGD(Attack):
    """Primal-dual gradient descent (Matyasko & Chau 2021).

    Args:
        steps: points that it looks at, a gradient at each but the last ones.
        lr: the first primal step. dual_lr: the first dual step. ratio: the first weight of the size over the mistake's.
    """

    steps: PositiveInt = 300
    lr: PositiveFloat = 0.1
    dual_lr: PositiveFloat = 0.1
    ratio: PositiveFloat = 0.01

    def run(self, bout: Bout) -> None:
        primal_dual(bout, self.steps, self.lr, self.dual_lr, self.ratio, _move, lost=False)


def _move(ball: Ball, z: Tensor, slope: Tensor, dual: Dual, a: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    pull = ball.column(1 - dual.weight) * L2.steepest(z - ball.x)
    step, memory = adam()(pull + ball.column(dual.weight) * slope, memory)
    return ball.clip(z - ball.column(a * ball.width) * step), memory
