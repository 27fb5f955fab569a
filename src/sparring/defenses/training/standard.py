"""Ordinary training: the mean cross-entropy on the images as they are."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.defenses.training.loss import Step, batch_accuracy


@dataclass(frozen=True)
class Standard:
    """Mean cross-entropy on the clean batch. The result has no robustness to speak of."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        logits: Tensor = model(x)
        step.note(accuracy=batch_accuracy(logits, y))
        return cross_entropy(logits, y)
