"""Genetic search, every row with a population of its own [b, P, ...]: selection, crossover, mutation, the elite."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.populations.differential import pick
from sparring.blocks.rises import SLACK
from sparring.bout import Bout
from sparring.norms import per
from sparring.rng import Noise


def leader(values: Tensor) -> Tensor:
    """[b, 1] the number of the fittest individual, the first of those that differ by rounding alone; NaN never is."""
    values = values.nan_to_num(nan=-torch.inf)
    top = values.amax(1, keepdim=True)
    slack = torch.where(top.isfinite(), SLACK.get(values.dtype, 1e-6) * top.abs(), 0)
    places = torch.arange(values.shape[1], 0, -1, device=values.device)
    return ((values >= top - slack) * places).argmax(1, keepdim=True)


def drawn(chance: Tensor, noise: Noise, count: int) -> Tensor:
    """`count` individuals a row, each as likely as its `chance` [b, P], with repetition: int64 [b, count]."""
    reach = chance.cumsum(1)
    return torch.searchsorted(
        reach.contiguous(), noise.uniform(count, dtype=chance.dtype) * reach[:, -1:], right=True
    ).clamp(max=chance.shape[1] - 1)


def softmax(values: Tensor, temperature: float) -> Tensor:
    """The chance of each individual to be a parent: [b, P] -> [b, P]; none for NaN, even where all are NaN."""
    chance = (values.nan_to_num(nan=-torch.inf) / temperature).softmax(1)
    return chance.nan_to_num(nan=1 / values.shape[1])


def roulette(values: Tensor) -> Tensor:
    """Chances that are as far apart as the values, the least fit at none; all alike where the values are."""
    values = values.nan_to_num(nan=-torch.inf)
    least = torch.where(values.isfinite(), values, torch.inf).amin(1, keepdim=True)
    above = (values - least).clamp(min=0).nan_to_num(0, 0, 0)
    total = above.sum(1, keepdim=True)
    return torch.where(total > 0, above / total.clamp(min=1e-30), 1 / values.shape[1])


def crossed(population: Tensor, first: Tensor, second: Tensor, share: Tensor, coin: Tensor) -> Tensor:
    """Children that have each value from the first parent with chance `share` [b, m], else from the second.

    Args:
        population: [b, P, ...]. first, second: [b, m] the parents by number. coin: [b, m, ...] uniform in [0, 1).
    """
    chance = share.reshape(*share.shape, *[1] * (population.dim() - 2)).to(coin.dtype)
    heads = torch.lt(coin, chance, out=population.new_empty(coin.shape))  # 1 or 0: cheaper on a CPU than a mask
    return pick(population, second).lerp_(pick(population, first), heads)  # exactly one of both


def mutated(children: Tensor, rate: Tensor, size: Tensor, coin: Tensor) -> Tensor:
    """Each value moved, with chance `rate` [b], by up to `size` [b] either way: [b, m, ...].

    `coin`: [b, m, ...] uniform in [0, 1): whether a value moves, and how far.
    """
    share = coin.to(children.dtype) / per(rate, children).clamp(min=1e-6)
    moves = torch.lt(share, 1, out=torch.empty_like(share))  # 1 or 0
    return torch.addcmul(children, share.mul_(2).sub_(1).mul_(per(size, children)), moves)


def within(bout: Bout, z: Tensor) -> Tensor:
    """`z` [b, m, ...] back in the ball."""
    return bout.ball.project_many(z)
