"""Square for the smallest perturbation: random search in a ball that shrinks whenever the search succeeds.

    radius = (1 - cut) * the nearest success;   squares inside it, from the nearest success projected

Needs scores only. Squares after Andriushchenko et al. 2020, arXiv:1912.00049.

Differs from the paper: there the radius is given. Squares begin smaller, as the search begins near a success: rows are
walked to the boundary first, from noise or from what other attacks found.
Fails on: few queries, as most of them do not succeed.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.ball import Ball
from sparring.blocks.decision.starts import near_start
from sparring.blocks.narrower import narrow_search
from sparring.blocks.squares import SQUARES, area
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L1, L2, Linf

HORIZON = 5000
"queries over which squares shrink, however few there are: small squares early find little"

Share = Annotated[float, Field(gt=0, lt=1)]


@register(
    "square-min",
    title="Square, minimum norm",
    sees="score",
    norms=(L2, Linf, L1),
    aim="minimum",
    approach="approximation",
    year=2026,
    paper="arXiv:1912.00049",
    random=True,
)
class SquareMin(Attack):
    """Random search in a shrinking ball (after Andriushchenko et al. 2020).

    Args:
        queries: for each sample, the start included. patience: squares at one radius in vain.
        p: the share of the image that the first squares of a round cover.
        cut: by how much the radius shrinks at most. loss: what must rise.
    """

    queries: PositiveInt = 5000
    patience: PositiveInt = 50
    p: Share = 0.3
    cut: Share = 0.1
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z, squares = near_start(b, 0.1), SQUARES[b.ball.norm]

        def change(ball: Ball, z: Tensor, k: int) -> Tensor:
            return squares.change(ball, z, area(self.p, k, HORIZON), b.noise)

        narrow_search(b, change, self.loss, self.cut, self.patience, self.queries, z)
