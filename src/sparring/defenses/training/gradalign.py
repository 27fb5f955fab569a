"""GradAlign: keep the gradient at an image aligned with that at a random point beside it.

    loss + weight * (1 - mean cos(grad_x CE(x), grad_x CE(x + u))),   u ~ U(ball)

Single-step training fails once the loss surface bends inside the ball ("catastrophic overfitting"); this penalty keeps
it straight. Andriushchenko & Flammarion 2020, arXiv:2007.02617. As there, only the second gradient is differentiated
twice. Differs from their code: images with a zero gradient are left out of the mean.
Fails on: budgets: it doubles the cost of a fast step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from sparring.ball import Ball
from sparring.defenses.training.adversarial import Adversarial
from sparring.defenses.training.loss import Step
from sparring.errors import InputError
from sparring.rng import TrainingNoise
from sparring.threat import Threat


@dataclass(frozen=True)
class GradAlign:
    """Another loss with the penalty on it.

    Args:
        loss: usually `AdversarialTraining` with one step. weight: of the penalty; 0.2 at 8/255 in the paper.
    """

    loss: Adversarial
    weight: float = 0.2

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(f"weight is {self.weight}; it must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`; `cosine` is noted, below 0.2 the run is about to fail."""
        base = self.loss(model, x, y, step)
        aligned = alignment(model, x, y, self.loss.at(step), step.seed)
        step.note(cosine=float(aligned.detach()))
        return base + self.weight * (1 - aligned)


def alignment(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int) -> Tensor:
    """Mean cosine between the gradients at the images and at random points of their balls: a scalar with a graph."""
    assert threat.eps is not None
    eps = torch.full((len(x),), threat.eps, dtype=x.dtype, device=x.device)
    ball = Ball(x, threat.norm, eps, (float("-inf"), float("inf")))  # as in the paper, the box does not count here
    beside = (x + _anywhere(ball, seed)).requires_grad_()
    here = x.detach().clone().requires_grad_()
    (at,) = torch.autograd.grad(cross_entropy(model(here), y, reduction="sum"), here)
    (near,) = torch.autograd.grad(cross_entropy(model(beside), y, reduction="sum"), beside, create_graph=True)
    at, near = at.flatten(1), near.flatten(1)
    alive = (at.norm(dim=1) > 0) & (near.detach().norm(dim=1) > 0)
    if not bool(alive.any()):
        return near.sum() * 0 + 1.0
    return cosine_similarity(at[alive], near[alive], dim=1, eps=1e-20).mean()


def _anywhere(ball: Ball, seed: int) -> Tensor:
    """A random perturbation of the ball."""
    wide = torch.full_like(ball.x, 1e3)
    return ball.norm.sample(TrainingNoise.of(ball.x, seed).fold(1), ball.eps, -wide, wide)
