"""Square: random search with squares of shrinking size; a change stays if it brings the sample closer to fooled.

    propose z' = z with one square repainted inside the ball;   z <- z' if margin(z') > margin(z)

Needs scores only. Andriushchenko et al. 2020, arXiv:1912.00049 (Linf and L2; `p` as in AutoAttack, 0.8; the
paper: 0.05 Linf, 0.1 L2). Differs from the reference code: windows and colours for each sample, the last row and
column included; under Linf the first of four colours that changes a pixel (the authors draw until one does, AutoAttack
shows the same picture again); L2 and L1 points are projected exactly on ball and box; `queries` counts all of them,
and the schedule of sizes is scaled to it as in the paper (AutoAttack's is made for 10,000 whatever the budget). L1 as
in Croce & Hein 2021, arXiv:2103.01208, but all of eps from the start on. Its L0 version is Sparse-RS (`sparse-rs`,
`square-l0`).
Fails on: tight budgets, high resolution. Its use is as an alarm: it should never beat attacks that see gradients.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.prospects import FROM_AFAR
from sparring.blocks.squares import SQUARES, search
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L1, L2, Linf


@register(
    "square",
    title="Square",
    sees="score",
    norms=(L2, Linf, L1),
    approach="approximation",
    year=2019,
    paper="arXiv:1912.00049",
    aliases=("square-attack",),
    peers=("autoattack", "torchattacks", "art"),
    random=True,
)
class Square(Attack):
    """Random search with shrinking squares (Andriushchenko et al. 2020).

    Args:
        queries: for each sample, the first point of the search included.
        p: the share of the image that the first squares cover.
        restarts: searches, each for the samples still standing. loss: what must rise.
        give_up: samples that by experience would not arrive leave a search early, see `blocks.prospects`.
    """

    queries: PositiveInt = 5000
    p: Annotated[float, Field(gt=0, le=1)] = 0.8
    restarts: PositiveInt = 1
    loss: Loss = margin
    give_up: bool = False

    def run(self, bout: Bout) -> None:
        for b in bout.restarts(self.restarts):
            start = SQUARES[b.ball.norm].start(b.ball, b.noise)
            search(b, start, self.queries, self.p, self.loss, FROM_AFAR if self.give_up else None)
