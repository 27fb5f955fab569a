"""Ordinary training: the mean cross-entropy on the images as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError


@dataclass(frozen=True)
class Standard:
    """Mean cross-entropy on the clean batch. The result has no robustness to speak of.

    Args:
        smoothing: of the labels (Szegedy et al. 2016, arXiv:1512.00567): so much of each goes to all classes alike.
        temperature: the logits are divided by it: teachers for distillation, see `Distillation`.
    """

    smoothing: float = 0.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.smoothing < 1:
            raise InputError(f"smoothing is {self.smoothing}; it must be at least 0 and below 1")
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; it must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        logits: Tensor = model(x)
        step.note(accuracy=batch_accuracy(logits, y))
        return cross_entropy(logits / self.temperature, y, label_smoothing=self.smoothing)
