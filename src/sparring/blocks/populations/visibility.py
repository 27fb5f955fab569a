"""How visible a perturbation is, and perturbations as a population: what POBA-GA breeds. Chen et al. 2019.

arXiv:1906.03181. A perturbation [b, P, ...] is measured in widths of the box.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bout import Bout, LossFunction
from sparring.losses import margin as margin_loss
from sparring.norms import per
from sparring.rng import Noise

STEEP = 10.0
MIDDLE = 5.8


def visibility(d: Tensor, width: float) -> Tensor:
    """sum over values of sigmoid(10 |d| - 5.8) - sigmoid(-5.8): [b, P, ...] -> [b, P].

    Next to nothing for small changes, and hardly more for the largest than for large ones.
    """
    seen = torch.sigmoid(STEEP * d.abs() / width - MIDDLE) - torch.sigmoid(d.new_tensor(-MIDDLE))
    return seen.flatten(2).sum(2)


def patterns(bout: Bout, count: int) -> Tensor:
    """Images with normal noise of various strengths on various shares of their values: [b, count, ...], not clipped."""
    shape, ones = bout.x.shape[1:], [1] * (bout.x.dim() - 1)
    strength, share = bout.noise.uniform(2, count, dtype=bout.x.dtype).unbind(1)
    where = bout.noise.uniform(count, *shape, dtype=bout.x.dtype) < share.reshape(-1, count, *ones)
    grain = bout.noise.normal(count, *shape, dtype=bout.x.dtype) * strength.reshape(-1, count, *ones)
    return bout.x[:, None] + bout.ball.width * where * grain


def doubled_or_dropped(bout: Bout, z: Tensor, rate: float, noise: Noise) -> Tensor:
    """Each change of `z` [b, m, ...] taken back, or made twice as large, with chance `rate` / 2 each."""
    coin = noise.uniform(*z.shape[1:])
    factor = torch.where(coin < rate / 2, 0.0, torch.where(coin < rate, 2.0, 1.0)).to(z.dtype)
    return bout.x[:, None] + factor * (z - bout.x[:, None])


def bred(bout: Bout, z: Tensor, loss: LossFunction, most: Tensor | None, weight: float) -> tuple[Tensor, Tensor]:
    """The fitness of points [b, P, ...], and the largest visibility of each row [b]: `most`, or theirs if it is None.

    The bout says what fools, whatever the loss is. One query a point.
    """
    seen = visibility(z - bout.x[:, None], bout.ball.width)
    most = seen.amax(1) if most is None else most
    logits = bout.candidates(z)
    goal = bout.goal[torch.arange(len(z), device=z.device).repeat_interleave(z.shape[1])]
    margins = goal.margin(logits.flatten(0, 1)).view(z.shape[:2])
    losses = None if loss is margin_loss else loss(logits.flatten(0, 1), goal).view(z.shape[:2])
    return fitness(margins, seen, most, weight, losses), most


def fitness(margin: Tensor, seen: Tensor, most: Tensor, weight: float, losses: Tensor | None = None) -> Tensor:
    """[b, P]: the loss where nobody is fooled; else how sure the model is, minus `weight` times what is seen.

    What fools is always fitter than what does not: it has `weight` more, and a loss counts from 0 downwards.

    Args:
        margin: [b, P], above 0 for what fools. seen: [b, P] visibilities. most: [b] the largest of the first
            generation. losses: [b, P], what must rise until then; None = the margin.
    """
    share = (seen / per(most, seen).clamp(min=1e-12)).clamp(max=1)
    sure = torch.tanh(margin.clamp(min=0) / 2)
    below = margin if losses is None else -torch.nn.functional.softplus(-losses)
    return torch.where(margin > 0, sure + weight * (1 - share), below)
