"""Sparse-RS: random search over which k pixels change; each is black or white in every channel.

    swap a few of the k pixels for others, with new colours;   keep that if the loss rises

Needs scores only: one query a step. The share that is swapped shrinks with the steps. Croce, Andriushchenko, Singh,
Flammarion & Hein 2022, arXiv:2006.12834.

Differs from the paper: eps counts values, C of them for one pixel of C channels; swapped pixels are drawn from the
region where the threat has one; the loss is the margin, targeted as well.
Fails on: few queries at large k, where most swaps undo what was found.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.rises import rises
from sparring.blocks.swaps import begin, drawn_on, swapped
from sparring.bout import Bout
from sparring.kernels import per
from sparring.losses import Loss, margin
from sparring.norms import L0


@register(
    "sparse-rs",
    title="Sparse-RS",
    sees="score",
    norms=(L0,),
    approach="approximation",
    year=2020,
    paper="arXiv:2006.12834",
    aliases=("square-l0",),
    random=True,
)
class SparseRS(Attack):
    """Random search over sets of pixels (Croce et al. 2022).

    Args:
        queries: the most for each sample; the schedule is scaled to it.
        alpha: the share of the pixels that the first steps swap; the paper has 0.1 for targets. loss: what must rise.
    """

    queries: PositiveInt = 5000
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.3
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        sets = begin(bout)
        value = self.loss(bout.logits(drawn_on(bout, sets)), bout.goal)
        for step in range(1, self.queries):
            sets, value = bout.active(sets, value, done=sets.k == 0)
            if not len(bout):
                return
            new = swapped(bout, sets, self.alpha, step / self.queries)
            asked = self.loss(bout.logits(drawn_on(bout, new)), bout.goal)
            better = rises(asked, value)
            order, paint = (torch.where(per(better, a), a, b) for a, b in zip(new[:2], sets[:2], strict=True))
            sets, value = sets._replace(order=order, paint=paint), torch.where(better, asked, value)
