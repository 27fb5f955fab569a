"""What a detector's score is worth: detections against false alarms, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import InputError


@dataclass(frozen=True)
class Roc:
    """Scores of clean and of attacked images, float64 and sorted; higher = more suspicious."""

    clean: Tensor
    attacked: Tensor

    @property
    def area(self) -> float:
        """The chance that an attacked image scores above a clean one; 0.5 = worthless."""
        below = torch.searchsorted(self.clean, self.attacked)
        upto = torch.searchsorted(self.clean, self.attacked, right=True)
        return float((below + upto).double().mean() / (2 * len(self.clean)))

    def threshold(self, false_alarms: float = 0.05) -> float:
        """The least threshold that at most this share of the clean images exceeds."""
        if not 0 <= false_alarms < 1:
            raise InputError(f"false_alarms is {false_alarms}; it must be in [0, 1)")
        return float(self.clean[len(self.clean) - 1 - int(false_alarms * len(self.clean))])

    def detected(self, false_alarms: float = 0.05) -> float:
        """The share of attacked images above that threshold."""
        return float((self.attacked > self.threshold(false_alarms)).double().mean())


def roc(clean: Tensor, attacked: Tensor) -> Roc:
    """From scores [N] and [M].

    >>> roc(torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.15])).area
    0.75
    """
    if not len(clean) or not len(attacked):
        raise InputError(f"scores of {len(clean)} clean and {len(attacked)} attacked images; both are needed")
    return Roc(clean.double().cpu().sort().values, attacked.double().cpu().sort().values)
