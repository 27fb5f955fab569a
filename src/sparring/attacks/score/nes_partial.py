"""NES with partial information: the model tells the scores of its k likeliest classes only.

    begin where it is fooled, however far;   g = mean of l(z + sigma u) u over the u for which l is known
    z <- a step along g and into a smaller ball around x, while that keeps the class among the k

Needs the scores of `top` classes: `samples` queries a step, and one for each try of a new point. The
partial-information attack of Ilyas, Engstrom, Athalye & Lin 2018, arXiv:1804.08598.

Differs from the paper: it begins at noise, at plain pictures or at what other attacks found, not at an image of the
target class; untargeted as well, where the true class may not be the likeliest; steps are a fraction of the radius,
which is halved in its shrinking as in the paper; without a radius it shrinks to the end.
Fails on: targets that no noise is mistaken for; few queries.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.decision.starts import near_start
from sparring.blocks.estimators.narrowing import narrow
from sparring.blocks.estimators.partial import known_directions, of_the_top
from sparring.bout import Bout
from sparring.norms import L2, Linf


@register(
    "nes-partial",
    title="NES, partial information",
    sees="score",
    norms=(L2, Linf),
    aim="both",
    approach="approximation",
    year=2018,
    paper="arXiv:1804.08598",
    random=True,
)
class NESPartial(Attack):
    """From a fooling point inwards, on the scores of the likeliest classes (Ilyas et al. 2018).

    Args:
        steps: the most. samples: queries for each gradient. top: how many classes the model names with their scores.
        step: the length of a step as a fraction of the radius. cut: by how much the radius shrinks in a step, at most.
        sigma: how far the probes are, of the box width. decay: of the momentum.
    """

    steps: PositiveInt = 200
    samples: Annotated[int, Field(ge=2, multiple_of=2)] = 50
    top: PositiveInt = 1
    step: PositiveFloat = 0.2
    cut: Annotated[float, Field(gt=0, lt=1)] = 0.1
    sigma: PositiveFloat = 0.01
    decay: NonNegativeFloat = 0.5

    def run(self, bout: Bout) -> None:
        loss = of_the_top(self.top)

        def holds(b: Bout, z: Tensor, wanted: Tensor) -> Tensor:
            return b.candidate_losses(z[:, None], loss, wanted[:, None])[:, 0].isfinite() & wanted

        estimate = partial(known_directions, loss=loss, count=self.samples, sigma=self.sigma)
        narrow(bout, near_start(bout, 0.01), estimate, holds, self.steps, self.step, self.cut, self.decay)
