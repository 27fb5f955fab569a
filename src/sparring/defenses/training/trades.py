"""TRADES: cross-entropy on clean images, plus how far an adversary can drive the answer away from that on them.

    CE(f(x), y) + beta * max_(|d| <= eps) KL(f(x) || f(x + d))

The examples climb that same divergence, whatever the labels. Zhang et al. 2019, arXiv:1901.08573.
Differs from the paper's code: the attack starts anywhere in the ball (there: N(0, 0.001^2) beside x; at x itself the
divergence has no gradient).
Fails on: betas so large that the net prefers to say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

from sparring.attack import Attack
from sparring.attacks import attack
from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.adversarial import Adversarial, Net
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.model import wrap
from sparring.threat import Goal, Threat


class Divergence:
    """KL(reference || answer) for each row, as a loss that attacks climb. Rows must keep their order.

    Args:
        reference: [B, K] logits to get away from.
    """

    __name__ = "divergence"

    def __init__(self, reference: Tensor) -> None:
        self.reference = log_softmax(reference, 1)

    def __call__(self, logits: Tensor, goal: Goal) -> Tensor:
        if len(logits) != len(self.reference):
            raise InputError(f"{len(logits)} rows to compare with {len(self.reference)}: this attack lets rows leave")
        return kl_div(log_softmax(logits, 1), self.reference, reduction="none", log_target=True).sum(1)


@dataclass(frozen=True)
class Trades(Adversarial):
    """Clean cross-entropy and a price on every change of mind.

    Args:
        attack: one that takes a `loss`; PGD with 10 steps unless given.
        beta: the price; 1 for MNIST at eps 0.3, 6 for CIFAR-10 at 8/255.
    """

    attack: Attack = field(default_factory=lambda: PGD(steps=10))
    beta: float = 1.0

    def examples(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        return diverging(model, x, y, self.attack, self.at(step), step.seed)

    def objective(self, net: Net, x: Tensor, x_adv: Tensor, y: Tensor, step: Step) -> Tensor:
        clean, moved = net(x), net(x_adv)
        step.note(accuracy=batch_accuracy(moved, y))
        return cross_entropy(clean, y) + self.beta * drift(clean, moved)


def trades_loss(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    attack: Attack | str = "pgd:steps=10",
    beta: float = 1.0,
    *,
    threat: Threat | tuple[str, float],
    seed: int = 0,
) -> Tensor:
    """TRADES for a training loop of your own; arguments as for `adversarial_loss`, and `beta`, see `Trades`."""
    x_adv = diverging(model, x, y, attack, threat, seed)
    clean = model(x)
    return cross_entropy(clean, y) + beta * drift(clean, model(x_adv))


def diverging(
    model: nn.Module, x: Tensor, y: Tensor, by: Attack | str, threat: Threat | tuple[str, float], seed: int
) -> Tensor:
    """Examples whose answer is far from that to the clean image."""
    made = attack(by) if isinstance(by, str) else by
    if not hasattr(made, "loss"):
        raise InputError(f"TRADES lets its attack climb a divergence, but {made.info.name} takes no loss; give pgd")
    wrapped = wrap(model)
    with wrapped.guard(), torch.no_grad():
        reference = wrapped.logits(wrapped.accept(x))
    return replace(made, loss=Divergence(reference)).craft(wrapped, x, y, threat, seed=seed)  # type: ignore[type-var]


def drift(clean: Tensor, moved: Tensor) -> Tensor:
    """KL(clean || moved) of two batches of logits [B, K], a mean over the rows; both carry their graph."""
    return kl_div(log_softmax(moved, 1), log_softmax(clean, 1), reduction="batchmean", log_target=True)
