"""ALMA: an augmented Lagrangian of the size and of the constraint "it fools", whose penalty adapts image by image.

    min |z - x| + P(y),   y = 1e-4 - dlr(z) < 0 <=> fooled;   P(y) = mu y + mu rho y^2 + rho^2 y^3 / 6 for y >= 0,
    mu y / (1 - rho y) below;   mu: running mean of P'(y);   rho * 1.2 when 10 steps brought no hit and y little down

Steps by RMSprop with momentum; the first has a given size, and they fall to 1 % from the first hit on.
Rony, Granger, Pedersoli & Ben Ayed 2021, arXiv:2011.11857. It starts from the image, or from what the bout has found
before, with the steps of a hit.

Differs from the paper: the tolerance 1e-4 is on the ratio; lengths are in widths of the box; rows
that have found nothing after a quarter of the steps go on from an adversarial start, paid for with their last steps.
Fails on: few steps (the multipliers need some hundred).
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.radius import length_of, slope_of_size
from sparring.blocks.rules import Memory, rmsprop
from sparring.blocks.starts import adversarial_start
from sparring.bout import Bout
from sparring.losses import dlr
from sparring.norms import L1, L2

TOLERANCE, CHECK, WARM = 1e-4, 10, 0.1


@register(
    "alma",
    title="ALMA",
    sees="gradient",
    norms=(L1, L2),
    aim="minimum",
    year=2020,
    paper="arXiv:2011.11857",
    aliases=("augmented-lagrangian",),
    peers=("adv-lib",),
)
class ALMA(Attack):
    """Augmented Lagrangian method for adversarial attacks (Rony et al. 2021).

    Args:
        steps: points that it looks at, a gradient at each but the last.
        memory: of the running means; None = 0.9, below 200 steps 0.5. first: the size of the first step.
    """

    steps: PositiveInt = 300
    memory: PositiveFloat | None = None
    first: PositiveFloat = 1.0

    def run(self, bout: Bout) -> Tensor | None:
        keep, width = self.memory or (0.9 if self.steps >= 200 else 0.5), bout.ball.box[1] - bout.ball.box[0]
        rule, (z, size) = rmsprop(keep), bout.found
        row = {
            "z": z, "g": torch.zeros_like(z), "mu": torch.ones_like(size), "rho": torch.ones_like(size),
            "since": torch.where(size.isfinite(), 0, self.steps + 1.0), "last": torch.full_like(size, self.steps - 1),
        }  # fmt: skip
        memory: Memory = {}
        for k in range(self.steps - 1):
            if k == self.steps // 4:
                row["z"], cost = adversarial_start(bout, row["z"], row["g"])
                row["last"] = row["last"] - cost
            ratio, row["g"] = bout.value_and_grad(row["z"], dlr)
            row, memory, ratio = bout.standing(row, memory, ratio, done=k >= row["last"])
            if not len(bout):
                return None
            ball, z, y, found = bout.ball, row["z"], TOLERANCE - ratio, bout.found[1].isfinite()
            row["since"] = torch.where(found, row["since"].clamp(max=k), row["since"])
            if k:
                row["mu"] = row["mu"].lerp(_slope(y, row["rho"], row["mu"]), 1 - keep).clamp(1e-6, 1e12)
            if k % CHECK == CHECK - 1:
                stuck = ~found & (y >= 0.95 * row["y"])
                row["rho"] = torch.where(stuck, 1.2 * row["rho"], row["rho"])
            if k == 0 or k % CHECK == CHECK - 1:
                row["y"] = y
            push = _slope(y, row["rho"], row["mu"])
            slope = ball.column(push) * row["g"] * width - slope_of_size(ball, z)
            if k == 0:
                wanted = torch.where(found, WARM * ball.size(z), self.first * width)
                row["length"] = length_of(ball, z, slope, wanted)
            step, memory = rule(slope, memory)
            fall = 0.01 ** ((k - row["since"]).clamp(min=0) / (self.steps - row["since"]))
            row["z"] = ball.clip(z + ball.column(fall * row["length"]) * step)
        return row["z"]


def _slope(y: Tensor, rho: Tensor, mu: Tensor) -> Tensor:
    """[b] dP/dy."""
    above, below = y.clamp(min=0), y.clamp(max=0)
    return torch.where(y >= 0, mu + 2 * mu * rho * above + (rho * above).square() / 2, mu / (1 - rho * below).square())
