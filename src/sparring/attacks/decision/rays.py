"""RayS: signs of a direction, flipped block by block in ever smaller blocks; a flip stays if it fools from nearer.

    v' = v with one block of signs flipped;   where x + r v' fools: v <- v', and r shrinks by a search along the ray

Needs predicted classes only, and estimates no gradient: under Linf the best direction is one of signs.
Chen & Gu 2020, arXiv:2006.12792.

Differs from the paper: a flip is tried at a radius smaller by the tolerance, so that a tie costs no search; the search
goes down from there in steps that double, as most flips bring little, where the paper bisects from 0 on; the tolerance
follows the headway of the row, as a fixed one of 1 % stalls where flips bring less; nothing is asked inside the ball,
as a point on it is all that is wanted; a row for which the all-ones direction never fools tries others; when single
pixels are done it starts again.
Fails on: targets, as a ray must fool somewhere; optima far from any corner of the ball.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.bisect import above, bisect, descend
from sparring.blocks.decision.signs import flip_block, signed
from sparring.blocks.decision.starts import sign_start
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.norms import Linf

PATIENCE = 0.98
"of the tolerance, what a flip in vain leaves of it"


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
        queries: for each sample, the start included. tolerance: of the search along a ray, as a fraction of the radius,
            at most; it follows the headway of each row, down to a tenth of this.
    """

    queries: PositiveInt = 5000
    tolerance: PositiveFloat = 0.01

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        signs, radius = sign_start(b)
        radius = bisect(b, signed(b.ball, signs), radius, self.tolerance, radius > 0)
        fine = torch.full_like(radius, self.tolerance)
        for turn in range(self.queries):
            signs, radius, fine = b.active(signs, radius, fine)
            if not len(b):
                return
            new = flip_block(signs, turn)
            path, aim = signed(b.ball, new), above(b, radius * (1 - fine), radius)
            hit = ask(b, path(aim))
            signs = torch.where(b.ball.column(hit), new, signs)
            before, radius = radius, descend(b, path, torch.where(hit, aim, radius), fine, hit)
            headway = (before - radius) / nonzero(before)
            fine = torch.where(hit, headway / 2, PATIENCE * fine).clamp(self.tolerance / 10, self.tolerance)
