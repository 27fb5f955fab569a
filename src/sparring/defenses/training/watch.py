"""Robust accuracy after each epoch, and an alarm for catastrophic overfitting.

Training with single steps may fail within one epoch: the accuracy under the training attack jumps up, that under more
steps falls to zero. The alarm rings when it falls by more than `drop` from one epoch to the next (the rule of Wong et
al. 2020, arXiv:2001.03994), or lies more than `gap` below the accuracy on the examples that were trained on (so that
a failure in the first epoch is seen, too). The run then ends with the weights of the epoch before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from sparring.attack import Attack
from sparring.attacks.gradient.pgd import PGD
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.model import wrap
from sparring.threat import Threat


@dataclass(frozen=True)
class Watch:
    """What is measured after each epoch, and when a run ends early.

    Args:
        threat: norm and radius. attack: PGD with 10 steps unless given; cheap, and no verdict: that is the audit's.
        images: of the first of the validation data (else the training data), so many.
        drop, gap: see above, in parts of one. stop: False = only measure.
    """

    threat: Threat
    attack: Attack = field(default_factory=lambda: PGD(steps=10))
    images: int = 250
    drop: float = 0.2
    gap: float = 0.6
    stop: bool = True

    def __post_init__(self) -> None:
        if self.images < 1:
            raise InputError(f"images is {self.images}; it must be at least 1")

    def measure(self, net: nn.Module, data: ImageData) -> float:
        """The accuracy under the attack, of the first images."""
        x, y = data.first(min(self.images, len(data))).tensors()
        return self.attack(wrap(net), x, y, self.threat).robust_accuracy()

    def alarm(self, history: Sequence[dict[str, float]]) -> bool:
        """Has the last epoch overfitted? Not while eps still grows."""
        now = history[-1]
        full = now.get("eps", self.threat.eps or 0.0) >= 0.9 * (self.threat.eps or 0.0)
        if not self.stop or not full:
            return False
        fell = len(history) > 1 and history[-2]["robust_accuracy"] - now["robust_accuracy"] > self.drop
        return fell or now.get("accuracy", 0.0) - now["robust_accuracy"] > self.gap

    def explain(self, history: Sequence[dict[str, float]]) -> str:
        """What happened, as one clause."""
        now = history[-1]
        before = f" after {history[-2]['robust_accuracy']:.0%} in the epoch before" if len(history) > 1 else ""
        return (
            f"catastrophic overfitting in epoch {now['epoch']:.0f}: {now.get('accuracy', float('nan')):.0%} on the "
            f"training attack's examples, but {now['robust_accuracy']:.0%} under {self.attack.spec}{before}; take a "
            "smaller step, or the recipe fast-gradalign"
        )


def stopped(history: Sequence[dict[str, float]]) -> bool:
    """Did the run end early?"""
    return bool(history) and bool(history[-1].get("stopped"))
