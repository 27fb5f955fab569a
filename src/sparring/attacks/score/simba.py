"""SimBA: try each vector of an orthonormal basis, down then up, and keep what helps.

    z <- z - step * q   if that raises the loss,   else z + step * q   if that does,   else z

Needs scores only: one query a try, two at most for a vector. Guo, Gardner, You, Wilson & Weinberger 2019,
arXiv:1905.07121.

Differs from the paper: points stay in the ball of the threat (the paper has no radius: its L2 grows with the root of
the vectors taken), L2 or Linf; a step is a fraction of eps; tries that would move nothing, as the pixel is at its
bound, are passed over; rows do not wait for each other's second tries; the loss is the margin; when all vectors have
been tried they are tried again, in another order, and a row leaves once none of them has helped.
Fails on: small radii, where no single vector shows; features that only help together.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.estimators.bases import BASES, BasisName
from sparring.blocks.estimators.tries import Tries, along
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L2, Linf


@register(
    "simba",
    title="SimBA",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2019,
    paper="arXiv:1905.07121",
    peers=("art",),
    random=True,
)
class SimBA(Attack):
    """Coordinate search in pixels or cosines (Guo et al. 2019).

    Args:
        queries: the most for each sample. basis: "pixel", or "dct": cosines, low frequencies first.
        step: how far along a vector, as a fraction of eps, by the norm of the threat; None = 0.1 of L2, all of Linf.
        loss: what must rise.
    """

    queries: PositiveInt = 5000
    basis: BasisName = "pixel"
    step: PositiveFloat | None = None
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        basis, z = BASES[self.basis], bout.x
        value, tries = self.loss(bout.clean_logits, bout.goal), Tries.start(basis, bout)
        asked = torch.zeros_like(tries.at)
        while True:
            z, value, tries, asked = bout.active(z, value, tries, asked, done=tries.done | (asked >= self.queries))
            if not len(bout):
                return
            tries, new, moves = tries.moving(basis, bout, z, along(bout, self.step))
            found = bout.candidate_losses(new[:, None], self.loss, moves[:, None]).squeeze(1)
            better = moves & rises(found, value)
            z, value = torch.where(bout.ball.column(better), new, z), torch.where(better, found, value)
            tries, asked = tries.after(moves, better), asked + moves
