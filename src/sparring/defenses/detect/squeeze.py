"""Feature squeezing as a detector (Xu, Evans & Qi 2018, arXiv:1704.01155).

    score(x) = max over squeezers s of |softmax f(x) - softmax f(s(x))|_1

A score is differentiable as its squeezers declare, so that an attacker can keep it small while he fools the net (He et
al. 2017, arXiv:1706.04701); `SqueezeDetector.evades` is what he wants.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.defenses import defend
from sparring.defenses.detect.detector import Detector
from sparring.errors import InputError
from sparring.model import Model


class SqueezeDetector(Detector):
    """Watches `model` with stages as squeezers.

    Args:
        squeezers: names of stages; the paper's for MNIST are the default.
    """

    def __init__(self, model: Model, squeezers: tuple[str, ...] = ("bits:1", "median:2")) -> None:
        if not squeezers:
            raise InputError('no squeezer is given; name stages, like ("bits:1", "median:2")')
        super().__init__(model)
        self.squeezed = [defend(model, spec).exposed() for spec in squeezers]

    def score(self, x: Tensor) -> Tensor:
        """[B], from 0 to 2."""
        plain = self.model.logits(x).softmax(1)
        apart = [(plain - other.logits(x).softmax(1)).abs().sum(1) for other in self.squeezed]
        return torch.stack(apart).amax(0)
