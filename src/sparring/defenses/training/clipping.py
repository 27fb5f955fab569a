"""Clipped and noisy gradients, in the manner of differentially private training (Abadi et al. 2016, arXiv:1607.00133).

    step along   1/B sum_i g_i min(1, clip / |g_i|)  +  noise clip / B  N(0, I)

No sample can pull further than `clip`, and what only a few samples pull at drowns in the noise (Hong et al. 2020,
arXiv:2002.11497, against poisoning). Written as a loss for the one loop: each sample's loss is weighted by its clipping
factor, and the noise is the slope of a linear term. Differs from the paper: batches are shuffled, not sampled, and no
privacy budget is accounted for, so none is claimed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn.functional import cross_entropy

from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.seeds import torch_seed


@dataclass(frozen=True)
class ClippedNoise:
    """Cross-entropy whose gradient is clipped for each sample and gets noise.

    Args:
        clip: the most that one sample's gradient may measure, in L2. noise: its deviation, in multiples of `clip`.
    """

    clip: float = 1.0
    noise: float = 0.05

    def __post_init__(self) -> None:
        if not self.clip > 0 or self.noise < 0:
            raise InputError(f"clip={self.clip}, noise={self.noise}; clip must be above 0, noise at least 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        factors = (self.clip / sample_gradients(model, x, y).clamp(min=1e-12)).clamp(max=1)
        logits: Tensor = model(x)
        step.note(accuracy=batch_accuracy(logits, y), clipped=float((factors < 1).float().mean()))
        loss = (factors * cross_entropy(logits, y, reduction="none")).mean()
        if self.noise:
            generator = torch.Generator().manual_seed(torch_seed(step.seed))
            for weight in (one for one in model.parameters() if one.requires_grad):
                draw = torch.randn(weight.shape, generator=generator).to(weight)
                loss = loss + self.noise * self.clip / len(x) * (weight * draw).sum()
        return loss


def sample_gradients(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The L2 norm of the gradient of each sample's cross-entropy, [B].

    Raises:
        InputError: the net mixes the samples of a batch or draws noise, so that none has a gradient of its own.
    """
    weights = {name: one.detach() for name, one in model.named_parameters() if one.requires_grad}

    def loss(weights: dict[str, Tensor], one: Tensor, label: Tensor) -> Tensor:
        logits: Tensor = functional_call(model, weights, (one[None],))
        return cross_entropy(logits, label[None])

    try:
        slopes = vmap(grad(loss), in_dims=(None, 0, 0))(weights, x, y)
    except RuntimeError as error:
        raise InputError(
            f"gradients cannot be clipped for each sample ({str(error).splitlines()[0]}); use a net without batch "
            "normalisation and dropout"
        ) from error
    total = x.new_zeros(len(x))
    for slope in slopes.values():
        total = total + slope.flatten(1).square().sum(1)
    return total.sqrt()
