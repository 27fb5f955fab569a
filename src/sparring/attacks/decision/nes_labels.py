"""NES from classes alone: the score of a point is the share of random points around it that fool.

    S(z) = share of z + spread * noise that fools;   g = mean of S(z + sigma u) u
    z <- a step along g and into a smaller ball around x, while that still fools

Needs predicted classes only: `samples` * `around` queries a step, and one for each try of a new point. The label-only
attack of Ilyas, Engstrom, Athalye & Lin 2018, arXiv:1804.08598, with one class named.

Differs from the paper: as `nes-partial`; fewer points around, and farther away.
Fails on: budgets below some ten thousand queries. Other decision attacks need far fewer.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.starts import near_start
from sparring.blocks.estimators.narrowing import narrow
from sparring.blocks.estimators.partial import share_that_fools
from sparring.bout import Bout
from sparring.norms import L2, Linf


@register(
    "nes-labels",
    title="NES, labels only",
    sees="decision",
    norms=(L2, Linf),
    aim="both",
    approach="decision",
    year=2018,
    paper="arXiv:1804.08598",
    random=True,
)
class NESLabels(Attack):
    """From a fooling point inwards, on the share of points around it that fool (Ilyas et al. 2018).

    Args:
        steps: the most. samples: points for each gradient. around: points that stand for the score of each.
        step: the length of a step as a fraction of the radius. cut: by how much the radius shrinks in a step, at most.
        sigma: how far the points are, of the box width. spread: how far those around them are.
        decay: of the momentum.
    """

    steps: PositiveInt = 100
    samples: Annotated[int, Field(ge=2, multiple_of=2)] = 20
    around: PositiveInt = 10
    step: PositiveFloat = 0.2
    cut: Annotated[float, Field(gt=0, lt=1)] = 0.1
    sigma: PositiveFloat = 0.02
    spread: PositiveFloat = 0.05
    decay: NonNegativeFloat = 0.5

    def run(self, bout: Bout) -> None:
        estimate = partial(
            share_that_fools, count=self.samples, sigma=self.sigma, around=self.around, spread=self.spread
        )
        narrow(bout, near_start(bout, 0.01), estimate, ask, self.steps, self.step, self.cut, self.decay)
