"""Adversarial training: minimise the loss on the worst images of a ball that an attack can find.

    min_theta  E_(x, y)  [ (1 - mix) max_(|d| <= eps)  CE(f_theta(x + d), y)  +  mix CE(f_theta(x), y) ]

mix = 0 with PGD: Madry et al. 2018, arXiv:1706.06083. mix = 0.5 with FGSM: Goodfellow et al. 2015, arXiv:1412.6572.
PGD of one step of 1.25 eps from a random start: "fast", Wong et al. 2020, arXiv:2001.03994.
Differs from the papers: eps may grow from 0 over the first part of the run; the attack meets the net in eval mode.
Fails on: an attack too weak to be worth training against (one large step: catastrophic overfitting, see `Watch`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.attack import Attack
from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.adversarial import Adversarial, Net, crafted
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.threat import Threat


@dataclass(frozen=True)
class AdversarialTraining(Adversarial):
    """Cross-entropy on adversarial examples, made by any attack; the accuracy that it notes is the one on them.

    Args:
        attack: PGD with 7 steps of 2.5 / 7 of eps unless given. mix: the weight of the clean images, 0 to 1.

    >>> AdversarialTraining(Threat("Linf", 0.3)).radius(0.125)
    0.15
    """

    attack: Attack = field(default_factory=lambda: PGD(steps=7))
    mix: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mix < 1:
            raise InputError(f"mix is {self.mix}; it is the weight of the clean images, at least 0 and below 1")

    def objective(self, net: Net, x: Tensor, x_adv: Tensor, y: Tensor, step: Step) -> Tensor:
        logits = net(x_adv)
        step.note(accuracy=batch_accuracy(logits, y))
        return _mixed(cross_entropy(logits, y), net, x, y, self.mix)


def adversarial_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack | str = "pgd:steps=7",
    mix: float = 0.0,
    *,
    threat: Threat | tuple[str, float],
    seed: int = 0,
) -> Tensor:
    """Madry's loss for a training loop of your own: a scalar, to be differentiated.

    Args:
        model: in training mode; it is attacked in eval mode and left as it was. x: [B, C, H, W] in [0, 1]. y: [B].
        attack: an attack or its spec. mix: weight of the clean images. threat: norm and radius.
        seed: give another one in every step, the number of the step for example: the attack's random starts.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 3))
    >>> x, y = torch.rand(2, 1, 2, 2), torch.tensor([0, 2])
    >>> sp.adversarial_loss(net, x, y, "pgd:steps=2", threat=("Linf", 0.1)).backward()
    """
    x_adv = crafted(model, x, y, attack, threat, seed)
    return _mixed(cross_entropy(model(x_adv), y), model, x, y, mix)


def _mixed(loss: Tensor, net: Net, x: Tensor, y: Tensor, mix: float) -> Tensor:
    return (1 - mix) * loss + mix * cross_entropy(net(x), y) if mix else loss
