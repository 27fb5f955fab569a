"""ADBA: two flips of a sign direction compete; which fools from nearer shows without measuring either.

    ask both at the present radius: neither fools -> the next pair, one alone -> it wins, both -> ask nearer

Needs predicted classes only. As in RayS directions are signs flipped in ever smaller blocks, but no ray is
bisected to its boundary. Wang, Zuo, Huang, Chen & Wang 2024, arXiv:2406.04998 (ADBA-md).

Differs from the paper: `split` stands in for the median of the fitted distribution of boundaries; nothing is asked
inside the ball, as a point on it is all that is wanted; a row for which the all-ones direction never fools tries
others; when single pixels are done the radius is bisected within its last tenth, and it starts again.
Fails on: targets, as a ray must fool somewhere; optima far from any corner of the ball.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import pick
from sparring.blocks.decision.bisect import bisect, duel
from sparring.blocks.decision.signs import block_share, flip_pair, signed, signed_many
from sparring.blocks.decision.starts import sign_start
from sparring.bout import Bout
from sparring.norms import Linf


@register(
    "adba",
    title="ADBA",
    sees="decision",
    norms=(Linf,),
    aim="both",
    approach="decision",
    year=2024,
    paper="arXiv:2406.04998",
)
class ADBA(Attack):
    """Duels between flips of a sign direction (Wang et al. 2024).

    Args:
        queries: for each sample, the start included. rounds: radii at which a pair is compared, at most.
        split: where between the known ends the next radius is: near 1 = near the present one.
    """

    queries: PositiveInt = 5000
    rounds: PositiveInt = 4
    split: Annotated[float, Field(gt=0, lt=1)] = 0.85

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        signs, radius = sign_start(b)
        radius = bisect(b, signed(b.ball, signs), radius, 0.1, radius > 0)
        for turn in range(self.queries):
            signs, radius = b.active(signs, radius)
            if not len(b):
                return
            if turn and block_share(signs, 2 * turn + 1) > block_share(signs, 2 * turn - 1):  # single pixels are done
                radius = bisect(b, signed(b.ball, signs), radius, 0.003, radius > 0, low=0.9 * radius)
            pair = flip_pair(signs, turn)
            both = torch.ones(len(b), 2, dtype=torch.bool, device=signs.device)
            paths = signed_many(b, pair)
            winner, radius, won = duel(b, paths, radius, both, self.rounds, self.split, ties=True)
            signs = torch.where(b.ball.column(won), pick(pair, winner), signs)
