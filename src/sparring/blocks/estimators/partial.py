"""Gradients where the model says little: the scores of its likeliest classes, or the class alone.

    g = mean over the directions u for which something is known of [l(z + sigma u) - mean l] u

Ilyas, Engstrom, Athalye & Lin 2018, arXiv:1804.08598.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.decision.ask import clip_many
from sparring.blocks.estimators.antithetic import beside, reach
from sparring.bout import Bout, LossFunction
from sparring.threat import Goal


def of_the_top(k: int) -> LossFunction:
    """log p of the class in question, read off the k likeliest classes alone; -inf where those do not tell.

    For a target: its log p, -inf where it is not among the k. For any mistake: -log p of the true class, of all that
    is left over where that is not among the k; -inf where it is the likeliest.
    """

    def loss(logits: Tensor, goal: Goal) -> Tensor:
        chances = logits.double().log_softmax(1)
        best, classes = chances.topk(min(k, logits.shape[1]), 1)
        own = classes == goal.label[:, None]
        listed = own.any(1)
        value = torch.where(own, best, 0).sum(1)
        if goal.targeted:
            return torch.where(listed, value, -torch.inf).to(logits.dtype)
        rest = torch.log1p(-best.exp().sum(1).clamp(max=1 - 1e-15))
        return torch.where(own[:, 0], -torch.inf, -torch.where(listed, value, rest)).to(logits.dtype)

    return loss


def known_directions(bout: Bout, z: Tensor, loss: LossFunction, count: int, sigma: float) -> Tensor:
    """The gradient [b, ...] from `count` queries around `z` [b, ...]; those with an infinite loss are left out."""
    u = _mirrored(bout, z, count)
    points = beside(bout, z, reach(bout, sigma) * u)
    losses = bout.candidate_losses(points, loss)
    return _weighted(losses, u)


def share_that_fools(bout: Bout, z: Tensor, count: int, sigma: float, around: int, spread: float) -> Tensor:
    """The same from classes alone: the loss of a point is the share of `around` points near it that fool.

    Costs `count` * `around` queries. The noise around each point is the same for both points of a pair.

    Args:
        sigma, spread: how far the points, and those around them, are, as fractions of the box width.
    """
    u = _mirrored(bout, z, count)
    points = z[:, None] + reach(bout, sigma) * u
    near = 2 * bout.noise.uniform(around, *z.shape[1:], dtype=z.dtype) - 1
    cloud = points[:, :, None] + reach(bout, spread) * near[:, None]
    hits = bout.fooled_many(clip_many(bout, cloud.flatten(1, 2)))
    return _weighted(hits.reshape(len(z), count, around).to(z.dtype).mean(2), u)


def _mirrored(bout: Bout, z: Tensor, count: int) -> Tensor:
    """Normal directions and their opposites: [b, count, ...], `count` even."""
    u = bout.noise.normal(count // 2, *z.shape[1:], dtype=z.dtype)
    return torch.cat([u, -u], 1)


def _weighted(losses: Tensor, u: Tensor) -> Tensor:
    known = losses.isfinite()
    losses = torch.where(known, losses, 0)
    mean = losses.sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
    weight = torch.where(known, losses - mean, 0)
    return (weight.reshape(*weight.shape, *[1] * (u.dim() - 2)) * u).mean(1)
