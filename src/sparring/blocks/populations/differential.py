"""Differential evolution, every row with a population of its own: genes [b, P, ...] (Storn & Price 1997).

doi:10.1023/A:1008202821328, the schemes DE/rand/1 and DE/best/1, with binomial crossover.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from sparring.rng import Noise

Base = Literal["rand", "best"]
"from where children set out: another individual, or the fittest"


def children(genes: Tensor, values: Tensor, noise: Noise, factor: float, base: Base, crossover: float) -> Tensor:
    """For each individual a child: base + factor * (b - c) in some of its parts, its parent in the others.

    Args:
        genes: [b, P, parts, ...], P >= 4. values: [b, P], the fitness.
        factor: under "best", where populations grow alike fast, it is drawn between it and 1 for each generation.
        crossover: the chance of each part to change; one always does.
    """
    a, b, c = (pick(genes, index) for index in others(noise, genes.shape[1]))
    reach: float | Tensor = factor
    if base == "best":
        a = pick(genes, values.nan_to_num(nan=-torch.inf).argmax(1, keepdim=True))
        reach = factor + (1 - factor) * noise.uniform(*[1] * (genes.dim() - 1), dtype=genes.dtype)
    parts = genes.shape[2]
    changed = noise.uniform(genes.shape[1], parts) < crossover
    changed |= noise.below(parts, genes.shape[1], 1) == torch.arange(parts, device=genes.device)
    return torch.where(changed.reshape(*changed.shape, *[1] * (genes.dim() - 3)), a + reach * (b - c), genes)


def others(noise: Noise, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """For each of `count` individuals three different others: int64 [b, count] each."""
    first, second, third = (noise.below(count - 1 - k, count) for k in range(3))
    second = second + (second >= first).long()
    low, high = torch.minimum(first, second), torch.maximum(first, second)
    third = third + (third >= low).long()
    third = third + (third >= high).long()
    own = torch.arange(count, device=first.device)
    return (own + 1 + first) % count, (own + 1 + second) % count, (own + 1 + third) % count


def pick(population: Tensor, index: Tensor) -> Tensor:
    """The individuals number `index` [b, m] of a population [b, P, ...]: [b, m, ...]."""
    first = torch.arange(0, population.shape[0] * population.shape[1], population.shape[1], device=population.device)
    chosen = population.flatten(0, 1).index_select(0, (first[:, None] + index).flatten())
    return chosen.reshape(*index.shape, *population.shape[2:])
