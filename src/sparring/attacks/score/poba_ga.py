"""POBA-GA: a genetic algorithm that breeds perturbations, first until they fool, then until they are hard to see.

    fitness = margin until it fools;   then confidence - alpha * Z / (the largest Z at first)
    Z = sum over values of sigmoid(10 |d| - 5.8) - sigmoid(-5.8)
    parents by roulette, crossed value by value;   mutation takes a change back or doubles it;   the fittest lives on

Needs scores only: population - 1 queries a generation. Chen, Su, Shen, Xiong & Zheng 2019, arXiv:1906.03181.

Differs from the paper: until it fools, the fitness is the margin of the logits (differences of probabilities are flat
where the model is sure); what fools is always fitter than what does not; mutation is more frequent (`mutation=0.001` is
the paper's); perturbations stay inside the ball where the threat has a radius, and the search then ends at the first
success; without a radius it makes Z smaller to the end, and hands over the fittest.
Fails on: small radii and large images, where chance alone finds no direction.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.populations.differential import pick
from sparring.blocks.populations.genetic import crossed, drawn, leader, roulette, within
from sparring.blocks.populations.visibility import bred, doubled_or_dropped, patterns
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L2, Linf

Share = Annotated[float, Field(ge=0, le=1)]


@register(
    "poba-ga",
    title="POBA-GA",
    sees="score",
    norms=(L2, Linf),
    aim="own",
    approach="approximation",
    year=2019,
    paper="arXiv:1906.03181",
    random=True,
    survey="POBA-GA [29]",
)
class POBAGA(Attack):
    """A genetic algorithm for perturbations that are hard to see (Chen et al. 2019).

    Args:
        generations: after the first. population: perturbations alive at once.
        alpha: how much visibility counts against confidence. mutation: the chance of a value to mutate.
        loss: what must rise until the model is fooled.
    """

    generations: PositiveInt = 400
    population: Annotated[int, Field(ge=2)] = 50
    alpha: NonNegativeFloat = 3.0
    mutation: Share = 0.01
    loss: Loss = margin

    def run(self, bout: Bout) -> Tensor | None:
        live = within(bout, patterns(bout, self.population))
        value, most = bred(bout, live, self.loss, None, self.alpha)
        for _ in range(self.generations):
            live, value, most = bout.active(live, value, most)
            if not len(bout):
                return None
            chance = roulette(value)
            first, second = (drawn(chance, bout.noise, self.population - 1) for _ in range(2))
            toss = bout.noise.uniform(first.shape[1], *live.shape[2:])
            children = crossed(live, first, second, torch.full_like(chance[:, 1:], 0.5), toss)
            children = within(bout, doubled_or_dropped(bout, children, self.mutation, bout.noise))
            grown, _ = bred(bout, children, self.loss, most, self.alpha)
            top = leader(value)
            live = torch.cat([pick(live, top), children], 1)
            value = torch.cat([value.gather(1, top), grown], 1)
        return pick(live, leader(value)).squeeze(1)
