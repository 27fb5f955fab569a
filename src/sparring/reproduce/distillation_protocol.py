"""How the published experiment measured, mistakes included, and how it should have.

The notebook behind the report (its figures are the report's to the digit) never calls `eval()`: dropout is on, one
random pass decides who is right before the attack and gives the gradient, a second one who survived. Its "I-FGSM" and
"MI-FGSM" step nine times along that one gradient: 0.9 eps in all.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.attack import Attack
from sparring.attacks.gradient.bim import BIM
from sparring.attacks.gradient.fgsm import FGSM
from sparring.batches import run_batches
from sparring.model import Model, wrap
from sparring.norms import Linf
from sparring.result import Result
from sparring.seeds import derived_seed, private_rng
from sparring.threat import Threat

PARTS = {"FGSM": 1.0, "I-FGSM": 0.9, "MI-FGSM": 0.9}
"the part of eps that the published attack of this name moves, all along one gradient"


class Cooled(nn.Module):
    """A net whose logits are divided by `temperature`: the same classes, a softmax that can be differentiated."""

    def __init__(self, net: nn.Module, temperature: float) -> None:
        super().__init__()
        self.net, self.temperature = net, temperature

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits / self.temperature


def published(
    net: nn.Module, x: Tensor, y: Tensor, eps: float, part: float = 1.0, *, seed: int, dropout: bool = True
) -> tuple[float, float]:
    """(accuracy before, accuracy after) as the notebook counts them: right in a first pass, and in a second one.

    Args:
        part: of eps that is moved, see `PARTS`. dropout: off = the same in eval mode, where both passes agree.
    """
    before = after = 0
    with _mode(net, dropout), private_rng(torch.device("cpu"), derived_seed(seed, "dropout", str(eps), str(part))):
        for start in range(0, len(x), 500):
            images, labels = x[start : start + 500], y[start : start + 500]
            point = images.clone().requires_grad_()
            logits = net(point)
            (slope,) = torch.autograd.grad(cross_entropy(logits, labels, reduction="sum"), point)
            right = logits.argmax(1) == labels
            with torch.no_grad():
                again = net((images + part * eps * slope.sign()).clamp(0, 1)).argmax(1) == labels
            before += int(right.sum())
            after += int((right & again).sum())
    return before / len(x), after / len(x)


def one_gradient(model: Model, x: Tensor, y: Tensor, eps: float, part: float) -> float:
    """Accuracy in eval mode after a move of `part` * eps along the sign of one gradient of the cross-entropy."""
    threat = Threat(Linf, part * eps)
    return run_batches(FGSM(), model, (x, y), threat, keep="last").robust_accuracy()


def correct(attack: Attack, net: nn.Module, x: Tensor, y: Tensor, eps: float, temperature: float = 1.0) -> Result:
    """An attack in eval mode on the logits divided by `temperature`, every point on the way judged."""
    model = wrap(net if temperature == 1.0 else Cooled(net, temperature))
    return run_batches(attack, model, (x, y), Threat(Linf, eps))


def iterative(steps: int = 10) -> Attack:
    """What "I-FGSM" means: a new gradient in each step."""
    return BIM(steps=steps, step=2.5 / steps)


@contextmanager
def _mode(net: nn.Module, training: bool) -> Iterator[None]:
    """Training or eval mode for a while."""
    before = net.training
    net.train(training)
    try:
        yield
    finally:
        net.train(before)
