"""Pointwise: put pixels of a point that fools back to their clean values, as long as it fools.

    z' = z with a group of changed pixels reset;   where z' fools: keep it, try twice as many; else half as many

It ends where no single changed pixel can be reset. Needs predicted classes only.
Schott, Rauber, Bethge & Brendel 2019, arXiv:1805.09190.

Differs from the paper: groups are reset at once, and only those that matter are taken apart, where the paper asks about
each pixel; the start is salt and pepper on as few pixels as fool, anew in each of the restarts; no
second stage for L2.
Fails on: pixels that only matter together; it never moves a pixel that the start has left alone.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.groups import Groups
from sparring.blocks.decision.starts import SPECKLES, far_start
from sparring.bout import Bout
from sparring.norms import L0


@register(
    "pointwise",
    title="Pointwise",
    sees="decision",
    norms=(L0,),
    aim="minimum",
    approach="decision",
    year=2019,
    paper="arXiv:1805.09190",
    peers=("foolbox",),
    random=True,
)
class Pointwise(Attack):
    """Resets changed pixels one group after another (Schott et al. 2019).

    Args:
        queries: for each sample, the start included. restarts: from other noise, while queries last.
    """

    queries: PositiveInt = 5000
    restarts: PositiveInt = 10

    def run(self, bout: Bout) -> None:
        for b in bout.child(0, passes=self.queries).restarts(self.restarts):
            z, found = far_start(b, SPECKLES, known=False)
            z = b.active(z, done=~found)
            groups = Groups.start(b, z)
            for _ in range(self.queries):
                z, groups = b.active(z, groups, done=groups.done)
                if not len(b):
                    break
                new = groups.reset(b, z)
                hit = ask(b, new)
                z = torch.where(b.ball.column(hit), new, z)
                groups = groups.tell(b, z, hit)
