"""Sigma-zero: Adam on the margin plus a smooth count of changed pixels; changes below a threshold are taken back.

    loss = relu(-margin) + mean(d^2 / (d^2 + sigma)),  d = z - x;   step: a_k * Adam(grad / |grad|_inf)
    then d = 0 where |d| < tau;   tau: + 0.01 a_k after a hit, - 0.01 a_k after a miss;   a_k: cosine from 1 to 0.1

Cina, Villani, Pintor, Schoenherr, Biggio & Pelillo 2025, arXiv:2402.01879. It starts from the image, or from what the
bout has found before, with smaller steps.

Differs from the paper: 300 steps (the paper's: 1,000; its other settings are the defaults here); d and tau are in
widths of the box; rows that have found nothing after a quarter of the steps go on from an adversarial start, paid for
with their last steps. (In the authors' code tau never changes: it is written to a copy.)
Fails on: nets that a single pixel can fool at many places, where greedy searches are cheaper.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, adam
from sparring.blocks.fallback import Fallback
from sparring.blocks.schedules import cosine
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.losses import margin
from sparring.norms import L0, Linf

WARM = 0.3
"the steps from a point that fools already, as a share of the usual ones"


@register(
    "sigma-zero",
    title="Sigma-zero",
    sees="gradient",
    norms=(L0,),
    aim="minimum",
    year=2024,
    paper="arXiv:2402.01879",
    aliases=("sigmazero", "σ-zero"),
    peers=("adv-lib",),
)
class SigmaZero(Attack):
    """Gradient descent on a smooth L0 norm with a threshold that adapts (Cina et al. 2025).

    Args:
        steps: points that it looks at, a gradient at each but the last.
        lr: the first step. sigma: how sharp the smooth count is. tau: the first threshold, and `tau_rate` of a step,
            by which it changes.
    """

    steps: PositiveInt = 300
    lr: PositiveFloat = 1.0
    sigma: PositiveFloat = 1e-3
    tau: PositiveFloat = 0.3
    tau_rate: PositiveFloat = 0.01

    def run(self, bout: Bout) -> Tensor | None:
        width = bout.ball.width
        rule = adam()
        memory: Memory = {}
        z, size = bout.nearest_success
        first = torch.full_like(size, WARM).where(size.isfinite(), 1.0) * self.lr
        tau = torch.full_like(size, self.tau)
        g = torch.zeros_like(z)
        fallback = Fallback.plan(bout, self.steps - 1, patience=self.steps // 4)
        for k in range(self.steps - 1):
            if fallback.due(k):
                z, _, fallback = fallback.restart(bout, z, g)
            gain, g = bout.value_and_grad(z, margin)
            z, first, tau, fallback, memory, gain, g = bout.active(
                z, first, tau, fallback, memory, gain, g, done=fallback.spent(k)
            )
            if not len(bout):
                return None
            column, x = bout.ball.column, bout.x
            d = (z - x) / width
            count_slope = 2 * self.sigma * d / (d.square() + self.sigma).square() / d[0].numel()
            slope = count_slope - column((gain <= 0).to(d.dtype)) * g * width
            step, memory = rule(slope / column(nonzero(Linf.size(slope))), memory)
            lr = first * (cosine(k - 1, self.steps, 1.0, 0.1) if k else 1)
            z = bout.ball.clip(z - column(lr * width) * step)
            change = self.tau_rate * first * cosine(k, self.steps, 1.0, 0.1)
            tau = torch.where(gain > 0, tau + change, tau - change).clamp(0, 1)
            z = torch.where((z - x).abs() < column(tau * width), x, z)
        return z
