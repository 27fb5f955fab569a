"""SurFree: no normals; half circles from the boundary to the image, bent in random directions.

    z <- x + |z - x| cos a (cos a u + sin a v),   the largest |a| that fools;   v random, across u and the last ones

Every point of the half circle is nearer than z, so one query that fools is progress. Needs predicted classes only.
Maho, Furon & Le Merrer 2021, arXiv:2011.12807.

Differs from the paper: directions are random cosines of low frequency, not weighed by those of the image; a new one is
across the last 10, where the authors' code has 100, each an image in memory for every row; the angle is
doubled and bisected in 4 rounds, where theirs has 10; no final line search, as the angle is bisected each time.
Fails on: large budgets, where estimated normals pay.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import swing
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.jumps import widen
from sparring.blocks.decision.normals import Frequencies, across, directions
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2

SHRINK = 0.95
"of the angle where neither side fools"


@register(
    "surfree",
    title="SurFree",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2021,
    paper="arXiv:2011.12807",
    random=True,
)
class SurFree(Attack):
    """Half circles in random directions (Maho et al. 2021).

    Args:
        queries: for each sample, the start included. angle: the first one tried, in degrees; it adapts.
        memory: the last directions that a new one is across. frequencies: the share of each side's cosine
            frequencies that directions are made of; 1 = all, None = half, but at least 14 of a side.
        rounds: of the bisection of the angle.
    """

    queries: PositiveInt = 5000
    angle: Annotated[float, Field(gt=0, lt=90)] = 30.0
    memory: PositiveInt = 10
    frequencies: Frequencies | None = None
    rounds: PositiveInt = 4

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, tolerance=1e-3)
        angle = torch.full_like(b.eps, math.radians(self.angle))
        past = torch.zeros_like(z)[:, None].repeat_interleave(self.memory, 1)
        for t in range(self.queries):
            z, angle, past = b.active(z, angle, past)
            if not len(b):
                return
            v = across(directions(b.noise.fold(t), tuple(z.shape[1:]), 1, self.frequencies, z.dtype)[:, 0], past)
            past = torch.cat([past[:, 1:], v[:, None]], 1)
            bend = swing(b.ball, z, v)
            left = ask(b, bend(angle))
            right = ask(b, bend(-angle), ~left)
            hit, side = left | right, torch.where(right, -1.0, 1.0).to(z.dtype)
            bend = swing(b.ball, z, b.ball.column(side) * v)
            z = torch.where(b.ball.column(hit), bend(widen(b, bend, angle, hit, self.rounds)), z)
            angle = torch.where(hit, (angle / SHRINK).clamp(max=math.radians(self.angle)), angle * SHRINK)
