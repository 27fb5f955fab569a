"""Bandits-TD: PGD along a guess of the gradient that two scores a step improve, on a coarse grid.

    d = l(z + h u(v + e n)) - l(z + h u(v - e n))   what noise n adds to the guess v; u enlarges tiles, size 1
    v <- v + rate * d n;   z <- project(z + step * eps * steepest(u(v)))

The guess is kept from step to step (a prior over time), and has one value for each tile (a prior over the image).
Needs scores only: two queries a step, and one for the point. Ilyas, Engstrom & Madry 2018, arXiv:1807.07978.

Differs from the paper: the loss is the margin, divided by its usual change, so that `rate` means the same on any net;
tiles are a fraction of the image; a step is a fraction of eps; points are asked about as well; the guess moves by
plain steps under Linf too, where the paper's are exponentiated (no more digits fall to those, at more queries each).
Fails on: images whose gradient is no smoother than noise; few queries on many tiles.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.estimators.bandits import Guess, explore, first_guess
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L2, Linf


@register(
    "bandits",
    title="Bandits-TD",
    sees="score",
    norms=(Linf, L2),
    approach="approximation",
    year=2018,
    paper="arXiv:1807.07978",
    aliases=("bandits-td",),
    random=True,
)
class Bandits(Attack):
    """PGD along a guess of the gradient that is improved all the time (Ilyas et al. 2018).

    Args:
        steps: the most, three queries each. step: the length of one as a fraction of eps.
        tile: the side of a tile, as a fraction of that of the image. explore: how far the guess is changed to try.
        rate: how much a try moves the guess. h: how far the probes are from the point, as a fraction of eps.
        loss: what must rise.
    """

    steps: PositiveInt = 1500
    step: PositiveFloat = 0.05
    tile: Annotated[float, Field(ge=0, le=1)] = 0.1
    explore: PositiveFloat = 1.0
    rate: PositiveFloat = 1.0
    h: PositiveFloat = 0.3
    loss: Loss = margin

    def run(self, bout: Bout) -> Tensor | None:
        z, guess = bout.x, first_guess(bout, self.tile)
        for _ in range(self.steps):
            state: tuple[Tensor, Guess] = bout.active(z, guess)
            z, guess = state
            if not len(bout):
                return None
            guess = explore(bout, z, guess, self.loss, self.explore, self.rate, self.h)
            z = bout.ball.project(bout.ball.step(z, guess.enlarged(bout), self.step * bout.eps))
        return z
