"""FAB: hop from plane to plane of the linearised boundary, drawn towards the clean image; step back whenever it fools.

    z <- clip((1 - a) (z + eta d_z) + a (x + eta d_x)),   a = min(|d_z| / (|d_z| + |d_x|), a_max)
    if z fools:  z <- x + backward (z - x)

d_z and d_x are the steps from z and from x to the nearest plane, exact on plane, box and region together. FAB-T knows
the plane of one class alone, one gradient a step instead of K - 1. Croce & Hein 2020, arXiv:1907.02044.

Differs from the paper: FAB-T towards three classes is the default, as it finds less than FAB in fewer passes; the first
run starts just inside what other attacks have found, if there is anything; the last search spends three queries in all.
Free of scale and shift of the logits.
Fails on: masked gradients under L1 (more targets or restarts help).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.boundary import fools, secant
from sparring.blocks.hyperplanes import Plane, meet, nearest, rivals, seen_from
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.norms import L1, L2, Linf


@register(
    "fab",
    title="FAB",
    sees="gradient",
    norms=(L1, L2, Linf),
    aim="minimum",
    year=2019,
    paper="arXiv:1907.02044",
    aliases=("fab-t", "fast-adaptive-boundary"),
    peers=("autoattack", "torchattacks", "adv-lib"),
    random=True,
)
class FAB(Attack):
    """Projections onto the linearised boundary, biased towards the clean image (Croce & Hein 2020).

    Args:
        steps: of each run. targets: FAB-T towards so many classes, likeliest first; None = FAB, all classes at once.
        restarts: rounds; all but the first start at random, half as far away as the nearest success.
        eta: how far each projection goes beyond its plane. bias: the most that x may draw. backward: where a point
        that fools goes back to. search: queries of the last search. classes: how many FAB looks at.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> result = sp.FAB(steps=10)(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), ("Linf", None))
    >>> round(result.distance.item(), 3)
    0.1
    """

    steps: PositiveInt = 100
    targets: PositiveInt | None = 3
    restarts: PositiveInt = 1
    eta: PositiveFloat = 1.05
    bias: Annotated[float, Field(ge=0, le=1)] = 0.1
    backward: Annotated[float, Field(gt=0, lt=1)] = 0.9
    search: NonNegativeInt = 3
    classes: Annotated[int, Field(ge=2)] = 10

    def run(self, bout: Bout) -> None:
        for again, whole in enumerate(bout.restarts(self.restarts)):
            for rank, b in enumerate(whole.restarts(1) if self.targets is None else whole.targets(self.targets)):
                z = _random(b, b.nearest_size) if again else _start(b, rank, self.backward)
                classes = rivals(b, self.classes)
                for _ in range(self.steps):
                    plane = nearest(b, z, classes)
                    z = _hop(b.ball, z, plane, self.eta, self.bias)
                    z = torch.where(b.ball.column(fools(b, z)), b.x + self.backward * (z - b.x), z)
                    z, classes = b.active(z, classes, done=plane.away.isinf())
                    if not len(b):
                        break
        bout.active(done=bout.nearest_size.isinf())
        if len(bout) and self.search:
            secant(bout, bout.nearest_success[0], self.search)


def _start(bout: Bout, rank: int, share: float) -> Tensor:
    """From what others have found, `share` of the way; from x after the first target: else all end in one place."""
    return bout.x if rank else bout.x + share * (bout.nearest_success[0] - bout.x)


def _hop(ball: Ball, z: Tensor, plane: Plane, eta: float, bias: float) -> Tensor:
    """Beyond the plane from `z` and from x, and a little of the way from the one point to the other."""
    from_z, from_x = meet(ball, z, plane), meet(ball, ball.x, seen_from(plane, z, ball.x))
    long, short = ball.norm.size(from_z), ball.norm.size(from_x)
    share = ball.column((long / nonzero(long + short)).clamp(max=bias))
    return ball.clip((1 - share) * (z + eta * from_z) + share * (ball.x + eta * from_x))


def _random(bout: Bout, size: Tensor) -> Tensor:
    """At a random place half as far away as the nearest success, the radius of the threat, or the end of the box."""
    ball = bout.ball
    across = ball.norm.size(torch.maximum(ball.high, -ball.low))
    radius = torch.minimum(torch.minimum(size, ball.eps), across) / 2
    return ball.with_eps(radius).surface(bout.noise)
