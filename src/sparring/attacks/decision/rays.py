"""RayS: signs of a direction, flipped block by block in ever smaller blocks; a flip stays if it fools from nearer.

    v' = v with one block of signs flipped;   where x + r v' fools: v <- v', and r shrinks by bisection

Needs predicted classes only, and estimates no gradient: under Linf the best direction is one of signs.
Chen & Gu 2020, arXiv:2006.12792.

Differs from the paper: a flip is tried at a radius smaller by the tolerance of the bisection, so that a tie costs no
bisection; nothing is asked inside the ball, as a point on it is all that is wanted; a row for which the all-ones
direction never fools tries others; when single pixels are done it starts again.
Fails on: targets, as a ray must fool somewhere; optima far from any corner of the ball.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.bisect import above, bisect
from sparring.blocks.decision.signs import flip_block, signed
from sparring.blocks.decision.starts import sign_start
from sparring.bout import Bout
from sparring.norms import Linf


@register(
    "rays",
    title="RayS",
    sees="decision",
    norms=(Linf,),
    aim="both",
    approach="decision",
    year=2020,
    paper="arXiv:2006.12792",
)
class RayS(Attack):
    """Search over directions of signs, from coarse to fine (Chen & Gu 2020).

    Args:
        queries: for each sample, the start included. tolerance: of the bisection, as a fraction of the radius.
    """

    queries: PositiveInt = 5000
    tolerance: PositiveFloat = 0.01

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        signs, radius = sign_start(b)
        radius = bisect(b, signed(b.ball, signs), radius, self.tolerance, radius > 0)
        for turn in range(self.queries):
            signs, radius = b.active(signs, radius)
            if not len(b):
                return
            new = flip_block(signs, turn)
            path, aim = signed(b.ball, new), above(b, radius * (1 - self.tolerance), radius)
            hit = ask(b, path(aim))
            signs = torch.where(b.ball.column(hit), new, signs)
            radius = bisect(b, path, torch.where(hit, aim, radius), self.tolerance, hit)
