"""Recipes: a training loss by name and options, with the learning rate and schedule that suit it.

A recipe is a function of the threat and its options. Its signature is what "trades:beta=6,steps=10" may say.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from sparring.attacks import attack
from sparring.attacks.gradient.fgsm import FGSM
from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.awp import AWP
from sparring.defenses.training.certified import IBP, SABR, CrownIBP
from sparring.defenses.training.clipping import ClippedNoise
from sparring.defenses.training.distillation import Distillation
from sparring.defenses.training.ensemble import EnsembleAdversarialTraining
from sparring.defenses.training.free import Free
from sparring.defenses.training.gradalign import GradAlign
from sparring.defenses.training.loss import TrainingLoss
from sparring.defenses.training.madry import AdversarialTraining
from sparring.defenses.training.mart import Mart
from sparring.defenses.training.smoothness import GaussianNoise, JacobianPenalty
from sparring.defenses.training.standard import Standard
from sparring.defenses.training.trades import Trades
from sparring.errors import InputError
from sparring.spec import Registry, parse_spec
from sparring.threat import Threat


@dataclass(frozen=True)
class Recipe:
    """A way to train.

    Attributes:
        name: how it is called. title: what tables call it. paper: where it comes from.
        lr, schedule, batch_size: good defaults with Adam, for the small nets here.
        adversarial: it needs a threat. make: (threat, options) -> its loss.
    """

    name: str
    title: str
    paper: str
    lr: float
    schedule: str
    batch_size: int
    adversarial: bool
    make: Callable[..., TrainingLoss]

    @property
    def options(self) -> dict[str, Any]:
        """What may be set, with the defaults."""
        return {name: p.default for name, p in inspect.signature(self.make).parameters.items() if name != "threat"}

    def loss(self, threat: Threat | None, values: dict[str, Any] | None = None) -> TrainingLoss:
        """Its training loss, or one line on what does not fit."""
        values = {name: self._read(name, value) for name, value in (values or {}).items()}
        if not self.adversarial:
            return self.make(**values)
        if threat is None or threat.eps is None:
            raise InputError(
                f"the recipe {self.name} needs a radius to train for: --eps 0.3 for digits, 8/255 for photographs"
            )
        return self.make(threat, **values)

    def _read(self, name: str, value: Any) -> Any:
        """An option in the type of its default."""
        if name not in self.options:
            raise InputError(
                f"the recipe {self.name} has no option {name!r}; it has {', '.join(self.options) or 'none'}"
            )
        kind = type(self.options[name])
        try:
            return kind(value)
        except (TypeError, ValueError):
            raise InputError(f"{self.name}: {name}={value!r} is not understood; give a {kind.__name__}") from None


RECIPES: Registry[Recipe] = Registry("recipe", lambda recipe: recipe.make)


def recipe(
    name: str,
    title: str,
    paper: str = "",
    *,
    lr: float = 2e-3,
    schedule: str = "drop",
    batch_size: int = 128,
    adversarial: bool = True,
) -> Callable[[Callable[..., TrainingLoss]], Callable[..., TrainingLoss]]:
    """Decorator: puts a recipe on the list."""

    def enter(make: Callable[..., TrainingLoss]) -> Callable[..., TrainingLoss]:
        RECIPES.enter(Recipe(name, title, paper, lr, schedule, batch_size, adversarial, make), name)
        return make

    return enter


def find_recipe(spec: str) -> tuple[Recipe, dict[str, str]]:
    """The recipe of a spec like "trades:beta=6,steps=10", and its options as they were written.

    Raises:
        InputError: no such recipe, or an option that is not written field=value.
    """
    read = parse_spec(spec)
    return RECIPES.find(read.name), read.fields


# --- without an adversary -------------------------------------------------------------------------------------


@recipe("standard", "standard", adversarial=False)
def _standard() -> TrainingLoss:
    return Standard()


@recipe("label-smoothing", "label smoothing", "arXiv:1512.00567", adversarial=False)
def _smooth(smoothing: float = 0.1) -> TrainingLoss:
    return Standard(smoothing=smoothing)


@recipe("gaussian", "Gaussian noise", "doi:10.1162/neco.1995.7.1.108", adversarial=False)
def _gaussian(sigma: float = 0.25) -> TrainingLoss:
    return GaussianNoise(sigma)


@recipe("clipped", "clipped and noisy gradients", "arXiv:1607.00133", batch_size=64, adversarial=False)
def _clipped(clip: float = 1.0, noise: float = 0.05) -> TrainingLoss:
    return ClippedNoise(clip, noise)


@recipe("jacobian", "Jacobian penalty", "arXiv:1908.02729", adversarial=False)
def _jacobian(weight: float = 0.01, projections: int = 1) -> TrainingLoss:
    return JacobianPenalty(weight, projections)


@recipe("teacher", "teacher at a temperature", "arXiv:1511.04508", lr=3e-3, adversarial=False)
def _teacher(temperature: float = 100.0) -> TrainingLoss:
    return Standard(temperature=temperature)


@recipe("distillation", "defensive distillation", "arXiv:1511.04508", lr=3e-3, adversarial=False)
def _distillation(teacher: str = "", temperature: float = 100.0) -> TrainingLoss:
    if not teacher:
        raise InputError(
            "distillation needs a teacher: sparring train --recipe teacher:temperature=100 --out runs/teacher, then "
            "--recipe distillation:teacher=runs/teacher,temperature=100"
        )
    return Distillation(_net(teacher), temperature)


# --- with one -------------------------------------------------------------------------------------------------


@recipe("fgsm", "FGSM adversarial training, mixed", "arXiv:1412.6572")
def _fgsm(threat: Threat, mix: float = 0.5, warm_up: float = 0.0) -> TrainingLoss:
    return AdversarialTraining(threat, FGSM(), warm_up, mix)


@recipe("pgd", "PGD adversarial training", "arXiv:1706.06083", lr=3e-3, schedule="triangular")
def _pgd(threat: Threat, steps: int = 7, warm_up: float = 0.25) -> TrainingLoss:
    return AdversarialTraining(threat, PGD(steps=steps), warm_up)


@recipe("attack", "adversarial training with any attack", "arXiv:1706.06083", lr=3e-3, schedule="triangular")
def _any(threat: Threat, by: str = "pgd;steps=7", mix: float = 0.0, warm_up: float = 0.25) -> TrainingLoss:
    return AdversarialTraining(threat, attack(by.replace(";", ":", 1).replace(";", ",")), warm_up, mix)


@recipe("ensemble", "ensemble adversarial training", "arXiv:1705.07204")
def _ensemble(threat: Threat, sources: str = "", mix: float = 0.5, warm_up: float = 0.0) -> TrainingLoss:
    nets = tuple(_net(name) for name in sources.split("+") if name)
    return EnsembleAdversarialTraining(threat, FGSM(), warm_up, mix, nets)


@recipe("trades", "TRADES", "arXiv:1901.08573", lr=3e-3, schedule="triangular")
def _trades(threat: Threat, beta: float = 1.0, steps: int = 7, warm_up: float = 0.25) -> TrainingLoss:
    return Trades(threat, PGD(steps=steps), warm_up, beta)


@recipe("mart", "MART", "openreview:rklOg6EFwS", lr=3e-3, schedule="triangular")
def _mart(threat: Threat, weight: float = 5.0, steps: int = 7, warm_up: float = 0.25) -> TrainingLoss:
    return Mart(threat, PGD(steps=steps), warm_up, weight)


@recipe("awp", "PGD adversarial training with AWP", "arXiv:2004.05884", lr=3e-3, schedule="triangular")
def _awp(threat: Threat, gamma: float = 0.01, steps: int = 7, warm_up: float = 0.25) -> TrainingLoss:
    return AWP(AdversarialTraining(threat, PGD(steps=steps), warm_up), gamma, warm_up)


@recipe("trades-awp", "TRADES with AWP", "arXiv:2004.05884", lr=3e-3, schedule="triangular")
def _trades_awp(
    threat: Threat, beta: float = 1.0, gamma: float = 0.005, steps: int = 7, warm_up: float = 0.25
) -> TrainingLoss:
    return AWP(Trades(threat, PGD(steps=steps), warm_up, beta), gamma, warm_up)


@recipe("free", "free adversarial training", "arXiv:1904.12843", lr=3e-3, schedule="triangular")
def _free(threat: Threat, replays: int = 8) -> TrainingLoss:
    return Free(threat, replays)


@recipe("fast", "fast adversarial training", "arXiv:2001.03994", lr=5e-3, schedule="triangular", batch_size=100)
def _fast(threat: Threat, alpha: float = 1.25, warm_up: float = 0.0) -> TrainingLoss:
    return AdversarialTraining(threat, PGD(steps=1, step=alpha), warm_up)


@recipe(
    "fast-gradalign",
    "fast adversarial training with GradAlign",
    "arXiv:2007.02617",
    lr=5e-3,
    schedule="triangular",
    batch_size=100,
)
def _aligned(threat: Threat, alpha: float = 1.25, weight: float = 0.2, warm_up: float = 0.0) -> TrainingLoss:
    return GradAlign(AdversarialTraining(threat, PGD(steps=1, step=alpha), warm_up), weight)


# --- for certificates -----------------------------------------------------------------------------------------


@recipe("ibp", "interval bounds", "arXiv:1810.12715", lr=1e-3, batch_size=100)
def _ibp(threat: Threat, ramp: float = 0.6, kappa: float = 0.5, widen: float = 1.1) -> TrainingLoss:
    return IBP(threat, ramp, kappa, widen)


@recipe("crown-ibp", "CROWN over interval bounds", "arXiv:1906.06316", lr=1e-3, batch_size=100)
def _crown_ibp(threat: Threat, ramp: float = 0.6, kappa: float = 0.5, final: float = 0.0) -> TrainingLoss:
    return CrownIBP(threat, ramp, kappa, final=final)


@recipe("sabr", "interval bounds in small boxes", "arXiv:2210.04871", lr=1e-3, batch_size=100)
def _sabr(threat: Threat, ramp: float = 0.6, share: float = 0.4, steps: int = 8) -> TrainingLoss:
    return SABR(threat, ramp, widen=1.0, share=share, attack=PGD(steps=steps))


def _net(spec: str) -> nn.Module:
    """A net from a model's spec, for teachers and sources."""
    from sparring.zoo import load_model

    net = load_model(spec).net
    if not isinstance(net, nn.Module):
        raise InputError(f"{spec} is no PyTorch module, so it cannot be a teacher or a source here")
    return net
