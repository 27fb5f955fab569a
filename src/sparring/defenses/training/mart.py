"""MART: adversarial training that minds the images which the net gets wrong even without an adversary.

    BCE(x') + weight * KL(f(x) || f(x')) * (1 - p_y(x)),   BCE(x') = -log p_y(x') - log(1 - max_(k != y) p_k(x'))

Examples x' climb the cross-entropy. Wang et al., ICLR 2020, https://openreview.net/forum?id=rklOg6EFwS.
Differs from the paper's code: the attack starts anywhere in the ball (there: beside x).
Fails on: audits by cross-entropy alone: its low confidence slows them down (9 points too high in print).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from sparring.attack import Attack
from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.adversarial import Adversarial, Net, crafted
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.threat import Threat


@dataclass(frozen=True)
class Mart(Adversarial):
    """Boosted cross-entropy on the examples, and TRADES's price weighted by doubt.

    Args:
        attack: PGD with 10 steps unless given. weight: of the second term; the paper's 5.
    """

    attack: Attack = field(default_factory=lambda: PGD(steps=10))
    weight: float = 5.0

    def objective(self, net: Net, x: Tensor, x_adv: Tensor, y: Tensor, step: Step) -> Tensor:
        clean, moved = net(x), net(x_adv)
        step.note(accuracy=batch_accuracy(moved, y))
        return _misclassification_aware(clean, moved, y, self.weight)


def mart_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack | str = "pgd:steps=10",
    weight: float = 5.0,
    *,
    threat: Threat | tuple[str, float],
    seed: int = 0,
) -> Tensor:
    """MART for a training loop of your own; arguments as for `adversarial_loss`, and `weight`, see `Mart`."""
    x_adv = crafted(model, x, y, attack, threat, seed)
    return _misclassification_aware(model(x), model(x_adv), y, weight)


def _misclassification_aware(clean: Tensor, moved: Tensor, y: Tensor, weight: float) -> Tensor:
    """From logits [B, K] on clean images and on examples, both with their graph."""
    label = y[:, None]
    log_clean, log_moved = log_softmax(clean, 1), log_softmax(moved, 1)
    rival = log_moved.exp().scatter(1, label, 0.0).amax(1)
    boosted = -log_moved.gather(1, label).squeeze(1) - torch.log(1.0001 - rival)
    drift = kl_div(log_moved, log_clean, reduction="none", log_target=True).sum(1)
    doubt = 1 - log_clean.gather(1, label).squeeze(1).exp()
    return (boosted + weight * drift * doubt).mean()
