"""Adversarial training: minimise the loss on the worst images of a ball that an attack can find.

    min_theta  E_(x, y)  max_(|d| <= eps)  cross_entropy(f_theta(x + d), y)

Madry et al. 2018, arXiv:1706.06083. The maximum is approached by an attack (PGD with few steps), made afresh for
every batch against the net in eval mode with frozen weights; the net trains on its answers alone. Differs from the
paper: eps grows from 0 over the first part of the run, without which small nets on MNIST get stuck at a constant
prediction (loss 2.303 = ln 10); images that the net gets wrong anyway are trained on as they are.
Fails on: an attack too weak to be worth training against (one large step: catastrophic overfitting).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.attack import Attack
from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.threat import Threat


@dataclass(frozen=True)
class AdversarialTraining:
    """Cross-entropy on adversarial examples only. A step of PGD-7 is 2.5 / 7 of eps, as in the MNIST recipes.

    Args:
        threat: norm and radius to become robust in.
        attack: what makes the examples, new in every step; its last iterate is trained on.
        warm_up: the part of the run, 0 to 1, over which eps grows linearly from 0 to the whole radius.

    >>> AdversarialTraining(Threat("Linf", 0.3)).radius(0.125)
    0.15
    """

    threat: Threat
    attack: Attack = field(default_factory=lambda: PGD(steps=7))
    warm_up: float = 0.25

    def __post_init__(self) -> None:
        if self.threat.eps is None:
            raise InputError("adversarial training needs a radius: Threat('Linf', eps=0.3)")
        if not 0 <= self.warm_up <= 1:
            raise InputError(f"warm_up is {self.warm_up}; it is a part of the run, between 0 and 1")

    def radius(self, progress: float) -> float:
        """eps when the part `progress` in (0, 1] of the run is over."""
        assert self.threat.eps is not None
        return self.threat.eps * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`; the accuracy that it notes is the one on the adversarial examples."""
        threat = replace(self.threat, eps=self.radius(step.progress))
        found = self.attack(model, x, y, threat, seed=step.seed, keep="last")
        logits: Tensor = model(found.x_adv.to(x.device))
        step.note(accuracy=batch_accuracy(logits, y), eps=threat.eps or 0.0)
        return cross_entropy(logits, y)
