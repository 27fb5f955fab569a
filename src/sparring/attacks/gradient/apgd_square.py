"""APGD-Square: climb with gradients as far as they lead, then go on from there by random squares.

    z <- the best point of one APGD run;   propose z' = z with one square repainted;   z <- z' if margin(z') > margin(z)

Random search leaves the local maximum that a gradient is stuck in, and from near the boundary it needs a fraction of
the queries that it needs from stripes. Made of Croce & Hein 2020 (arXiv:2003.01690) and Andriushchenko et al. 2020
(arXiv:1912.00049). Differs from both: their halves run apart, each from the clean image.
Fails on: images that neither half brings near; masked gradients, where it is Square from a poor start.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.apgd import apgd
from sparring.blocks.prospects import FROM_NEARBY
from sparring.blocks.squares import search
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy, margin
from sparring.norms import L2, Linf


@register(
    "apgd-square",
    title="APGD-Square",
    sees="gradient",
    norms=(L2, Linf),
    year=2026,
    paper="arXiv:1912.00049",
    random=True,
)
class APGDSquare(Attack):
    """Auto-PGD, then Square from its best point (Croce & Hein 2020; Andriushchenko et al. 2020).

    Args:
        steps: gradients of each climb. queries: of each search after it, its first point included.
        p: the share of the image that the first squares cover. restarts: rounds, each for the samples still standing.
        loss: what the climbs raise; the searches raise the margin.
        give_up: samples that by experience would not arrive leave a search early, see `blocks.prospects`.

    >>> import sparring as sp
    >>> sp.attack("apgd-square:restarts=2").spec
    'apgd-square:restarts=2'
    """

    steps: PositiveInt = 50
    queries: PositiveInt = 1500
    p: Annotated[float, Field(gt=0, le=1)] = 0.2
    restarts: PositiveInt = 1
    loss: Loss = cross_entropy
    give_up: bool = False

    def run(self, bout: Bout) -> None:
        for b in bout.restarts(self.restarts):
            z = apgd(b, self.steps, self.loss)
            z = b.active(z)
            if len(b):
                search(b, z, self.queries, self.p, margin, FROM_NEARBY if self.give_up else None)
