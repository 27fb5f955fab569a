"""SignHunter for the smallest perturbation: flips of blocks of signs, at a radius that shrinks whenever they succeed.

    z = x + radius s;   flip one block of s, keep that if the loss rises;   fooled: radius = (1 - cut) * its size

RayS (Chen & Gu 2020, arXiv:2006.12792) asks about the same flips, but sees classes alone: it keeps those that fool from
nearer. The score tells of every flip whether it helps. Al-Dujaili & O'Reilly 2020, arXiv:1902.06894.

Differs from the paper: there the radius is given. The search begins where a direction of signs meets the boundary, as
RayS does. A pixel that the box has pushed back onto the image turns round like the others.
Fails on: large images in few queries, where the blocks are still large.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.decision.bisect import bisect
from sparring.blocks.decision.signs import flip_block, signed, signs_of
from sparring.blocks.decision.starts import sign_start
from sparring.blocks.narrower import narrow_search
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import Linf


@register(
    "signhunter-min",
    title="SignHunter, minimum norm",
    sees="score",
    norms=(Linf,),
    aim="minimum",
    approach="approximation",
    year=2026,
    paper="arXiv:1902.06894",
)
class SignHunterMin(Attack):
    """Flips of signs in a shrinking ball (after Al-Dujaili & O'Reilly 2020).

    Args:
        queries: for each sample, the start included. patience: flips at one radius in vain.
        cut: by how much the radius shrinks at most. loss: what must rise.
        tolerance: of the bisection at the start, as a fraction of the radius.
    """

    queries: PositiveInt = 5000
    patience: PositiveInt = 50
    cut: Annotated[float, Field(gt=0, lt=1)] = 0.1
    tolerance: PositiveFloat = 0.1
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        signs, radius = sign_start(b)
        radius = bisect(b, signed(b.ball, signs), radius, self.tolerance, radius > 0)
        signs, radius = b.active(signs, radius)
        if not len(b):
            return

        def change(ball: Ball, z: Tensor, k: int) -> Tensor:
            return signed(ball, flip_block(signs_of(ball, z), k))(ball.eps)

        narrow_search(b, change, self.loss, self.cut, self.patience, self.queries, signed(b.ball, signs)(radius))
