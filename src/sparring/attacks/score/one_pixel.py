"""One-Pixel: differential evolution of where a few pixels are, and what they become.

    child = base + factor * (b - c)   it takes the place of its own parent if its loss is higher

Needs scores only: `population` queries a generation. Su, Vargas & Sakurai 2017, arXiv:1710.08864.

Differs from the paper: children set out from the fittest and change one pixel in three, which finds more pixels in
fewer queries (the paper's: "one-pixel:base=rand,crossover=1,population=400"); eps says how many values may change, C
of them for one pixel of C channels, and `pixels` may ask for fewer; places wrap around the edges; the loss is the
margin, and a row ends when it is fooled.
Fails on: large images, where one pixel says little; nets that look at strokes rather than at points.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.populations.differential import Base, children
from sparring.blocks.populations.spots import first_spots, lawful, painted, pixels_within
from sparring.blocks.populations.survival import replace
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L0


@register(
    "one-pixel",
    title="One-Pixel",
    sees="score",
    norms=(L0,),
    visibility=("visible",),
    approach="approximation",
    year=2017,
    paper="arXiv:1710.08864",
    aliases=("onepixel",),
    peers=("torchattacks", "art"),
    random=True,
    survey="One-Pixel Attack [171]",
)
class OnePixel(Attack):
    """A few pixels found by differential evolution (Su et al. 2017).

    Args:
        pixels: how many, None = as many as eps allows. population: candidates alive at once.
        generations: after the first.
        factor: how far children go along the difference of two. base: what they set out from, "best" or "rand".
        crossover: the chance that a pixel changes, one always does. loss: what must rise.
    """

    pixels: PositiveInt | None = None
    population: Annotated[int, Field(ge=4)] = 50
    generations: PositiveInt = 100
    factor: PositiveFloat = 0.5
    base: Base = "best"
    crossover: Annotated[float, Field(ge=0, le=1)] = 0.3
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        pixels = min(self.pixels or pixels_within(bout), pixels_within(bout))
        genes = first_spots(bout.noise, self.population, pixels, bout.x)
        values = bout.candidate_losses(painted(bout, genes), self.loss)
        for _ in range(self.generations):
            genes, values = bout.active(genes, values)
            if not len(bout):
                return
            young = lawful(children(genes, values, bout.noise, self.factor, self.base, self.crossover))
            grown = bout.candidate_losses(painted(bout, young), self.loss)
            fitter = rises(grown, values)
            genes, values = replace(fitter, young, genes), replace(fitter, grown, values)
