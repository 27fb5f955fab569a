"""GenAttack: a genetic algorithm inside the ball.

    parents by softmax(fitness / temperature);   child = each value from either, the likelier parent more often
    mutation: with chance rho a value moves by up to alpha * eps;   the fittest lives on

Needs scores only: population - 1 queries a generation. Where the fittest has not improved for `patience` generations,
rho and alpha shrink by 0.9. Alzantot, Sharma, Chakraborty, Zhang, Hsieh & Srivastava 2018, arXiv:1805.11090.

Differs from the paper: untargeted as well; L2 as well; rho starts at 0.1 (MNIST 0.3, CIFAR 0.05); no coarse grid of
noise for large images. The fitness is the paper's log p_t - log sum of the others (Foolbox subtracts the wrong term).
Fails on: small radii and large images, where chance alone finds no direction.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.populations.differential import pick
from sparring.blocks.populations.genetic import crossed, drawn, leader, mutated, softmax, within
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import Loss, log_odds
from sparring.norms import L2, Linf

Share = Annotated[float, Field(gt=0, le=1)]


@register(
    "genattack",
    title="GenAttack",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2018,
    paper="arXiv:1805.11090",
    peers=("foolbox",),
    random=True,
    survey="GenAttack [3]",
)
class GenAttack(Attack):
    """Genetic search in the ball (Alzantot et al. 2018).

    Args:
        generations: after the first. population: candidates alive at once. temperature: of the choice of parents.
        rho: the chance of a value to mutate. alpha: how far it may, as a fraction of eps.
        least_rho, least_alpha: what they shrink to. patience: generations without progress until they shrink.
        loss: what must rise.
    """

    generations: PositiveInt = 1000
    population: Annotated[int, Field(ge=2)] = 6
    temperature: PositiveFloat = 0.1
    rho: Share = 0.1
    alpha: Share = 0.5
    least_rho: Share = 0.02
    least_alpha: Share = 0.1
    patience: PositiveInt = 20
    loss: Loss = log_odds

    def run(self, bout: Bout) -> None:
        live = torch.stack([bout.ball.sample(bout.noise) for _ in range(self.population)], 1)
        fitness = bout.candidate_losses(live, self.loss)
        idle, shrunk = torch.zeros_like(bout.eps), torch.zeros_like(bout.eps)
        for _ in range(self.generations):
            live, fitness, idle, shrunk = bout.active(live, fitness, idle, shrunk)
            if not len(bout):
                return
            chance = softmax(fitness, self.temperature)
            first, second = (drawn(chance, bout.noise, self.population - 1) for _ in range(2))
            strong, weak = chance.gather(1, first), chance.gather(1, second)
            toss, fate = bout.noise.uniform_pair(self.population - 1, *live.shape[2:])
            children = crossed(live, first, second, strong / (strong + weak), toss)
            rho = (self.rho * 0.9**shrunk).clamp(min=self.least_rho)
            alpha = (self.alpha * 0.9**shrunk).clamp(min=self.least_alpha)
            size = alpha * bout.eps / bout.ball.norm.size(torch.ones_like(bout.x))
            children = within(bout, mutated(children, rho, size, fate))
            top = leader(fitness)
            fittest = fitness.gather(1, top)
            fitness = torch.cat([fittest, bout.candidate_losses(children, self.loss)], 1)
            live = torch.cat([pick(live, top), children], 1)
            best = torch.where(fitness.isnan(), -torch.inf, fitness).amax(1)
            idle = torch.where(rises(best, fittest.squeeze(1)), 0, idle + 1)
            shrunk, idle = torch.where(idle >= self.patience, shrunk + 1, shrunk), idle % self.patience
