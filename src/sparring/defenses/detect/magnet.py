"""MagNet's detectors (Meng & Chen 2017, arXiv:1705.09064): how far an autoencoder moves an image, or its label.

    reconstruction:   mean |A(x) - x|^p, p = 1 or 2
    divergence:       Jensen-Shannon, of softmax(f(x) / T) and softmax(f(A(x)) / T), T = 10 or 40

In the paper digits are watched by the first two, one net each; the divergence is for CIFAR-10. Each is allowed its own
share of false alarms. All are differentiable, and so is their maximum: an attacker lowers it as he fools the net
(Carlini & Wagner 2017, arXiv:1711.08478), see `evasion_attack`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparring.defenses import defend
from sparring.defenses.detect.detector import Detector
from sparring.defenses.purify.magnet import Magnet
from sparring.errors import InputError
from sparring.generators.autoencoders import Autoencoders, load_autoencoders
from sparring.model import Model

PARTS = ("l1", "l2", "jsd10", "jsd40")


class ReconstructionDetector(Detector):
    """By how far the autoencoder of `stage` moves the pixels: the mean of |A(x) - x|^p."""

    def __init__(self, model: Model, stage: Magnet, p: int) -> None:
        super().__init__(model)
        self.stage, self.p = stage, p

    def score(self, x: Tensor) -> Tensor:
        """[B]."""
        return (self.stage(x) - x).abs().pow(self.p).flatten(1).mean(1)


class DivergenceDetector(Detector):
    """By how far the autoencoder of `stage` moves what `bare`, the classifier without a reformer, says."""

    def __init__(self, model: Model, bare: Model, stage: Magnet, temperature: float) -> None:
        super().__init__(model)
        self.bare, self.stage, self.temperature = bare, stage, temperature

    def score(self, x: Tensor) -> Tensor:
        """[B], from 0 to log 2."""
        first, second = ((self.bare.logits(z) / self.temperature).log_softmax(1) for z in (x, self.stage(x)))
        middle = torch.logaddexp(first, second) - math.log(2)
        apart = [(one.exp() * (one - middle)).sum(1) for one in (first, second)]
        return ((apart[0] + apart[1]) / 2).clamp(min=0)


class MagnetDetector(Detector):
    """The classifier behind the reformer, watched by several detectors at once.

    The score is the largest of theirs, each in parts of its own threshold: above 1, one of them is alarmed.

    Args:
        bare: the classifier without a reformer. clean: images that set the thresholds.
        parts: of "l1" (the fine net), "l2" (the coarse one), "jsd10" and "jsd40" (the coarse one).
        false_alarms: the share of `clean` that each part may reject.
        weights: see `Magnet`.
    """

    def __init__(
        self,
        bare: Model,
        clean: Tensor,
        *,
        parts: Sequence[str] = ("l2", "l1"),
        false_alarms: float = 0.01,
        weights: str | Autoencoders = "mnist-magnet",
    ) -> None:
        if not parts or not set(parts) <= set(PARTS):
            raise InputError(f"parts are {tuple(parts)!r}; they must be of {', '.join(PARTS)}")
        both = weights if isinstance(weights, Autoencoders) else load_autoencoders(weights)
        coarse, fine = (Magnet(net, weights=both, box=bare.box) for net in ("coarse", "fine"))
        super().__init__(defend(bare, coarse).exposed())
        made: dict[str, Callable[[], Detector]] = {
            "l1": lambda: ReconstructionDetector(self.model, fine, 1),
            "l2": lambda: ReconstructionDetector(self.model, coarse, 2),
            "jsd10": lambda: DivergenceDetector(self.model, bare, coarse, 10.0),
            "jsd40": lambda: DivergenceDetector(self.model, bare, coarse, 40.0),
        }
        self.parts: dict[str, Detector] = {name: made[name]() for name in parts}
        self.bounds = {name: part.threshold(clean, false_alarms) for name, part in self.parts.items()}

    def score(self, x: Tensor) -> Tensor:
        """[B]; above 1 = an alarm."""
        return torch.stack([part.score(x) / self.bounds[name] for name, part in self.parts.items()]).amax(0)
