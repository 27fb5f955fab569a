"""Training that flattens the net around its images without any attack: noise, and a penalty on the Jacobian.

Gaussian noise: CE(f(x + sigma n), y) (Bishop 1995, doi:10.1162/neco.1995.7.1.108). Jacobian: CE + weight / 2 * |J|_F^2,
with J estimated from random projections (Hoffman et al. 2019, arXiv:1908.02729). Both make small perturbations harder,
and neither stands up to eps 0.3 on digits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.rng import TrainingNoise


@dataclass(frozen=True)
class GaussianNoise:
    """Cross-entropy on noisy images; as for randomized smoothing, they are not clipped.

    Args:
        sigma: the standard deviation of the noise, in pixels.
    """

    sigma: float = 0.25

    def __post_init__(self) -> None:
        if not self.sigma > 0:
            raise InputError(f"sigma is {self.sigma}; it must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        noise = TrainingNoise.of(x, step.seed).normal(*x.shape[1:], dtype=x.dtype)
        logits: Tensor = model(x + self.sigma * noise)
        step.note(accuracy=batch_accuracy(logits, y))
        return cross_entropy(logits, y)


@dataclass(frozen=True)
class JacobianPenalty:
    """Cross-entropy, and the squared size of the Jacobian of the logits.

    Args:
        weight: of the penalty. projections: random directions of the logits for each estimate.
    """

    weight: float = 0.01
    projections: int = 1

    def __post_init__(self) -> None:
        if not self.weight > 0 or self.projections < 1:
            raise InputError(f"weight={self.weight}, projections={self.projections}; both must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`; `jacobian` is noted, the root mean square of its size."""
        point = x.detach().clone().requires_grad_()
        logits: Tensor = model(point)
        noise = TrainingNoise.of(x, step.seed)
        total = logits.new_zeros(())
        for _ in range(self.projections):
            direction = noise.normal(logits.shape[1], dtype=logits.dtype)
            direction = direction / direction.norm(dim=1, keepdim=True)
            (slope,) = torch.autograd.grad((logits * direction).sum(), point, create_graph=True)
            total = total + logits.shape[1] * slope.square().sum() / len(x) / self.projections
        step.note(accuracy=batch_accuracy(logits, y), jacobian=float(total.detach().sqrt()))
        return cross_entropy(logits, y) + self.weight / 2 * total
