"""Models that answer at random: what an adversarial image is worth is decided by fresh looks, never by the lucky one.

A search that may look many times will sooner or later see a miss. So its points are handed to a jury: `k` looks on
noise that no search has seen. An image is broken when most looks miss it, which is what a majority vote of the model
itself would do; the mean over the looks is reported beside it.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparring.attack import Attack
from sparring.batches import batches
from sparring.model import Model
from sparring.referee import Keep
from sparring.result import Result
from sparring.seeds import torch_seed

DRAWS = 10
"looks at each point, unless said otherwise"
SCREEN = 2
"looks after which a point that none of them missed is dropped, where looks are expensive"
APART = 0x5DEECE66D
"keeps the jury's noise apart from that of the searches"


def keep_for(attack: Attack) -> Keep:
    """Which point a search hands to the jury: where it ended; where it hands over nothing, what looked best."""
    return "last" if attack.info.sees == "gradient" and attack.info.aim == "budget" else "margin"


def looks(model: Model, x: Tensor, y: Tensor, draws: int, seed: int, batch_size: int) -> Tensor:
    """The class predicted in each of `draws` looks at images x [N, ...], on fresh noise: [draws, N].

    Noise comes from torch's generator, which is left as it was; a model with a generator of its own draws from that.
    """
    seen = []
    with model.guard(), torch.no_grad(), torch.random.fork_rng():
        for draw in range(draws):
            torch.manual_seed(torch_seed(APART + 7919 * seed + draw))
            parts = [model.labels(model.accept(part)).cpu() for part, _ in batches((x, y), batch_size)]
            seen.append(torch.cat(parts))
    return torch.stack(seen)


def votes(seen: Tensor, classes: int) -> Tensor:
    """Logits [N, K] that stand for looks [draws, N]: the largest is the class that most of them saw."""
    counts = torch.stack([(seen == label).sum(0) for label in range(classes)], 1).double()
    return (counts / len(seen)).clamp(min=0.1 / len(seen)).log().float()


def judged(
    model: Model,
    result: Result,
    x: Tensor,
    y: Tensor,
    draws: int,
    seed: int,
    batch_size: int,
    screened: bool = False,
) -> Result:
    """A result whose success is decided by `draws` fresh looks at each point, at the price of as many queries.

    The margin becomes 2 * (share of the looks that miss) - 1.

    Args:
        x: the clean images. screened: points that two looks get right are dropped, in the model's favour, and images
            that the search left unchanged are not looked at: for models whose looks are expensive.
    """
    if screened:
        missed, spent = _screened(model, result.x_adv, x, y, draws, seed, batch_size)
    else:
        missed = (looks(model, result.x_adv, y, draws, seed, batch_size) != y).double().mean(0)
        spent = torch.full_like(result.queries, draws)
    broken = missed > 0.5
    size = result.threat.norm.size(result.x_adv - x)
    return replace(
        result,
        success=broken,
        distance=torch.where(broken, size, torch.inf).to(result.distance.dtype),
        margin=(2 * missed - 1).to(result.margin.dtype),
        first_hit=torch.where(broken, result.first_hit.clamp(min=1), -1),
        queries=result.queries + spent,
    )


def _screened(
    model: Model, points: Tensor, x: Tensor, y: Tensor, draws: int, seed: int, batch_size: int
) -> tuple[Tensor, Tensor]:
    """The share [N] of looks that miss, and how many looks [N] there were."""
    missed, spent = torch.zeros(len(y), dtype=torch.float64), torch.zeros(len(y), dtype=torch.int64)
    rows = (points != x).flatten(1).any(1).nonzero().squeeze(1)
    first = min(SCREEN, draws)
    for some, number in ((first, seed), (draws - first, seed + 1)):
        if not len(rows) or not some:
            break
        seen = looks(model, points[rows], y[rows], some, number, batch_size)
        missed[rows] += (seen != y[rows]).double().sum(0)
        spent[rows] += some
        rows = rows[missed[rows] > 0]
    return missed / spent.clamp(min=1), spent
