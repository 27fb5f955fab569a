"""AWP: train against a second player who may nudge the weights, so that the loss is flat around them.

    v = argmax_(|v_l| <= gamma |w_l|) L(w + v, x');   the gradient is taken at w + v and applied to w

The weights' player takes one step along the loss's gradient, layer by layer in proportion to the layer's size; the
examples are made at w. A wrapper of any adversarial loss. Wu, Xia & Wang 2020, arXiv:2004.05884.
Differs from the paper's code: no proxy net and no SGD step of its own (only its direction mattered).
Fails on: short runs, where nothing has overfitted yet: it costs one pass more and gains little.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sparring.defenses.training.adversarial import Adversarial
from sparring.defenses.training.loss import Step
from sparring.errors import InputError


@dataclass(frozen=True)
class AWP:
    """Adversarial weight perturbation around another loss.

    Args:
        loss: `AdversarialTraining`, `Trades`, `Mart` ...
        gamma: how far each layer may be pushed, in parts of its size: 0.01 for Madry's loss, 0.005 for TRADES.
        start: the part of the run before which nothing is pushed.
    """

    loss: Adversarial
    gamma: float = 0.01
    start: float = 0.0

    def __post_init__(self) -> None:
        if not self.gamma > 0:
            raise InputError(f"gamma is {self.gamma}; it must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        x_adv = self.loss.examples(model, x, y, step)
        if step.progress <= self.start:
            return self.loss.objective(model, x, x_adv, y, step)
        weights = dict(model.named_parameters())
        pushed = {**weights, **self._push(model, x, x_adv, y, step)}
        return self.loss.objective(lambda z: functional_call(model, pushed, (z,)), x, x_adv, y, step)

    def _push(self, model: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor, step: Step) -> dict[str, Tensor]:
        """The pushed weights; gradients pass on to the weights themselves."""
        layers = {name: w for name, w in model.named_parameters() if w.dim() > 1 and w.requires_grad}
        aside = {name: buffer.clone() for name, buffer in model.named_buffers()}  # batch-norm counts one pass, not two
        value = self.loss.objective(lambda z: functional_call(model, aside, (z,)), x, x_adv, y, step)
        slopes = torch.autograd.grad(value, list(layers.values()), allow_unused=True)
        return {
            name: weight + self.gamma * (weight.norm() / slope.norm().clamp(min=1e-20) * slope).detach()
            for (name, weight), slope in zip(layers.items(), slopes, strict=True)
            if slope is not None
        }
