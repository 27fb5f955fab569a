"""Defensive distillation: a student learns the soft answers of a teacher, both at a high temperature.

    CE(softmax(student / T), softmax(teacher / T)),   at test time T = 1

The student's logits come out about T times larger than usual; its softmax saturates and the gradient of the
cross-entropy vanishes in float32. That is all: attacks on the logits succeed as before. Papernot et al. 2016,
arXiv:1511.04508; broken by Carlini & Wagner 2017, arXiv:1608.04644.
Fails on: every attack that does not use the cross-entropy, see `sparring reproduce distillation`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.model import wrap


@dataclass(frozen=True)
class Distillation:
    """Cross-entropy with a teacher's soft labels.

    Args:
        teacher: pixels to logits, trained at the same temperature: `Standard(temperature=T)`.
        temperature: T; 100 in the paper.
    """

    teacher: nn.Module
    temperature: float = 100.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}; it must be above 0")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`; the labels only serve the accuracy that is noted."""
        logits: Tensor = model(x)
        step.note(accuracy=batch_accuracy(logits, y))
        return _soft_cross_entropy(logits, self.teacher.to(x.device), x, self.temperature)


def distillation_loss(model: nn.Module, x: Tensor, y: Tensor, teacher: nn.Module, temperature: float = 100.0) -> Tensor:
    """Distillation for a training loop of your own; `y` is not used, as the teacher knows better."""
    return _soft_cross_entropy(model(x), teacher, x, temperature)


def _soft_cross_entropy(logits: Tensor, teacher: nn.Module, x: Tensor, temperature: float) -> Tensor:
    wrapped = wrap(teacher)
    with wrapped.guard(), torch.no_grad():
        soft = (wrapped.logits(x) / temperature).softmax(1)
    return cross_entropy(logits / temperature, soft)
