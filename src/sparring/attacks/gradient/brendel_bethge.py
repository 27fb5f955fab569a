"""Brendel-Bethge."""

from __future__ import annotations

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.boundary import bisect_radius
from sparring.blocks.boundary_step import boundary_step
from sparring.blocks.fallback import adversarial_start
from sparring.blocks.decision.starts import near_start, far_start
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L0, L1, L2, Linf

@register(
    "brendel-bethge",
    title="Brendel-Bethge",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    aim="minimum",
    year=2019,
    paper="arXiv:1907.01003",
    aliases=("bb",),
    peers=("foolbox", "art"),
)
class BrendelBethge(Attack):
    """Brendel-Bethge."""

    steps: PositiveInt = 100
    lr: PositiveFloat = 0.3
    last: PositiveFloat = 0.001
    momentum: float = 0.0
    overshoot: float = 0.1
    lag: float = 1.2
    floor: float = 0.1
    start: str = "adv"
    search: NonNegativeInt = 8

    def run(self, bout: Bout) -> None:
        whole = bout
        b = bout.child(0, passes=2 * self.steps - 1 - self.search)
        z, size = b.nearest_success
        if self.start == "adv":
            gain, g = b.value_and_grad(z, margin)
            z, cost = adversarial_start(b, z, g)
        elif self.start == "near":
            z = near_start(b, 1e-2)
        else:
            z, found = far_start(b)
            z = b.active(z, done=~found)
            z = bisect_radius(b, z, 8)
        r0 = self.lr * L2.size(z - b.x)
        slope = torch.zeros_like(z)
        short, due = torch.zeros_like(r0), torch.full_like(r0, -torch.inf)
        for k in range(self.steps):
            gain, g = b.value_and_grad(z, margin)
            z, r0, slope, short, due, gain, g = b.active(z, r0, slope, short, due, gain, g)
            if not len(b):
                break
            slope = g if k == 0 else self.momentum * slope + (1 - self.momentum) * g
            short = torch.maximum(due - gain, short/2).clamp(min=0)
            gap = torch.where(gain > 0, self.overshoot - 1, -1 - self.overshoot) * gain + self.lag * short
            r = r0 * self.last ** (k / self.steps)
            ball = b.ball
            u = boundary_step(ball.norm, z - ball.x, slope, gap, r, ball.low, ball.high, self.floor)
            due = gain + (g * (u - (z - ball.x))).flatten(1).sum(1)
            z = ball.clip(ball.x + u)
        if self.search:
            whole.active(done=whole.nearest_success[1].isinf())
            if len(whole):
                bisect_radius(whole, whole.nearest_success[0], self.search)
