"""ALMA: an augmented Lagrangian of the size and of the constraint "it fools", whose penalty adapts image by image.

    min |z - x| + P(y),   y = 1e-4 - dlr(z) < 0 <=> fooled;   P(y) = mu y + mu rho y^2 + rho^2 y^3 / 6 for y >= 0,
    mu y / (1 - rho y) below;   mu: running mean of P'(y);   rho * 1.2 when 10 steps brought no hit and y little down

Steps by RMSprop with momentum; the first has a given size, and they fall to 1 % from the first hit on.
Rony, Granger, Pedersoli & Ben Ayed 2021, arXiv:2011.11857. It starts from the image, or from what the bout has found
before, with the steps of a hit.

Differs from the paper: the tolerance 1e-4 is one of the ratio, not of the logits; the first step goes as far as a
linear model sees the boundary, and at most 0.6 widths of the box (the paper: 0.5 under L1 and 1 under L2 on MNIST; from
there it does not find back to a boundary that is a hundred times nearer);
rows that have found nothing after a quarter of the steps go on from an adversarial start, paid for with their last
steps; at the end the nearest point goes back towards x by bisection.
Fails on: few steps (the multipliers need some hundred).
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.boundary import BISECTION_COST, final_bisection
from sparring.blocks.directions import Memory, rmsprop
from sparring.blocks.fallback import Fallback
from sparring.blocks.radius import length_of, slope_of_size
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.losses import dlr
from sparring.norms import L1, L2

TOLERANCE, CHECK, LITTLE = 1e-4, 10, 0.95
WARM = 0.1
"the first step from a point that fools already, as a share of its size"


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
        steps: points that it looks at, a gradient at each but the last ones.
        alpha: how much of the running means is kept; None = 0.9, below 200 steps 0.5.
        first: the most that the first step may go, in widths of the box.
    """

    steps: PositiveInt = 300
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    first: PositiveFloat = 0.6

    def run(self, bout: Bout) -> None:
        part = bout.child(0)
        width = bout.ball.width
        points = max(self.steps - 1 - BISECTION_COST, 1)
        alpha = self.alpha or (0.9 if self.steps >= 200 else 0.5)
        rule = rmsprop(alpha)
        memory: Memory = {}
        z, size = part.nearest_success
        one = torch.ones_like(size)
        since = torch.zeros_like(size).where(size.isfinite(), self.steps)
        row = _State(z, torch.zeros_like(z), y=one, mu=one, rho=one, since=since, length=one)
        fallback = Fallback.plan(part, points, patience=points // 4)
        for k in range(points):
            if fallback.due(k):
                z, _, fallback = fallback.restart(part, row.z, row.g)
                row = row._replace(z=z)
            ratio, g = part.value_and_grad(row.z, dlr)
            row, fallback, memory, ratio = part.active(
                row._replace(g=g), fallback, memory, ratio, done=fallback.spent(k)
            )
            if not len(part):
                break
            ball, z = part.ball, row.z
            y = TOLERANCE - ratio.nan_to_num()
            found = part.nearest_size.isfinite()
            row = row._replace(since=torch.where(found, row.since.clamp(max=k), row.since))
            if k % CHECK == CHECK - 1:
                stuck = ~found & (y >= LITTLE * row.y)
                row = row._replace(rho=torch.where(stuck, 1.2 * row.rho, row.rho))
            if k % CHECK == CHECK - 1 or k == 0:
                row = row._replace(y=y)
            if k:
                mu = row.mu.lerp(_slope(y, row.rho, row.mu), 1 - alpha).clamp(1e-6, 1e12)
                row = row._replace(mu=mu)
            push = ball.column(width * _slope(y, row.rho, row.mu)) * row.g
            step = push.sub_(slope_of_size(ball, z))
            if k == 0:
                away = (y.clamp(min=0) / nonzero(ball.norm.dual_size(row.g))).clamp(max=self.first * width)
                wanted = torch.where(found, WARM * ball.distance(z), away)
                row = row._replace(length=length_of(ball, z, step, wanted))
            step, memory = rule(step, memory)
            fall = 0.01 ** ((k - row.since).clamp(min=0) / (self.steps - row.since + 1))
            row = row._replace(z=ball.clip(torch.addcmul(z, ball.column(fall * row.length), step)))
        part.submit(row.z)
        final_bisection(bout)


class _State(NamedTuple):
    """Per row.

    Attributes:
        z, g: the point and the gradient of the ratio there [b, ...]. y: [b] the constraint at the last check.
        mu, rho: [b] the multiplier and the penalty. since: [b] the step of the first hit.
        length: [b] how much of the direction a step takes.
    """

    z: Tensor
    g: Tensor
    y: Tensor
    mu: Tensor
    rho: Tensor
    since: Tensor
    length: Tensor


def _slope(y: Tensor, rho: Tensor, mu: Tensor) -> Tensor:
    """[b] dP/dy."""
    above, below = y.clamp(min=0), y.clamp(max=0)
    return torch.where(y >= 0, mu + 2 * mu * rho * above + (rho * above).square() / 2, mu / (1 - rho * below).square())
