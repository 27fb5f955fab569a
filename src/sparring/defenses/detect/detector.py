"""What every detector of attacks offers: a score for each image, a threshold, who gets past."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sparring.defenses.detect.roc import roc
from sparring.model import Model


class Detector(ABC):
    """Watches `model`, whose answer counts where nothing is noticed."""

    def __init__(self, model: Model) -> None:
        self.model = model

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """[B], higher = more suspicious; differentiable, so that an attacker can keep it small."""

    def threshold(self, clean: Tensor, false_alarms: float = 0.05) -> float:
        """The least that at most this share of clean images exceeds."""
        with self.model.guard(), torch.no_grad():
            scores = self.score(clean)
        return roc(scores, scores).threshold(false_alarms)

    def evades(self, x: Tensor, y: Tensor, threshold: float) -> Tensor:
        """bool [B]: misclassified and not noticed."""
        with self.model.guard(), torch.no_grad():
            return (self.model.labels(x) != y) & (self.score(x) <= threshold)
