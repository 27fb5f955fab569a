"""STRIP: an answer that survives mixing with other images is a trigger's (Gao et al. 2019, arXiv:1902.06531).

    score(x) = - mean over clean images c of H(softmax f((1 - weight) x + weight c))

A clean image mixed with others gets unsure answers; a triggered one keeps its class. Differs from the paper: a convex
mix instead of a sum. Fails on triggers that the mix destroys, and on adaptive backdoors that are trained to be unsure.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.defenses.detect.detector import Detector
from sparring.errors import InputError
from sparring.model import Model


class StripDetector(Detector):
    """Watches `model` at test time.

    Args:
        overlays: clean images [M, C, H, W] to mix in; 10 to 100 are enough. weight: theirs, in (0, 1).
    """

    def __init__(self, model: Model, overlays: Tensor, weight: float = 0.5) -> None:
        if not len(overlays) or not 0 < weight < 1:
            raise InputError(f"STRIP got {len(overlays)} images and weight={weight}; give some, and a weight in (0, 1)")
        super().__init__(model)
        self.overlays, self.weight = overlays, weight

    def score(self, x: Tensor) -> Tensor:
        """[B], at most 0; near 0 = the answer stays sure whatever is mixed in."""
        total = x.new_zeros(len(x))
        for other in self.overlays.to(x):
            logits = self.model.logits(torch.lerp(x, other.expand_as(x), self.weight))
            total = total + torch.special.entr(logits.softmax(1)).sum(1)
        return -total / len(self.overlays)
