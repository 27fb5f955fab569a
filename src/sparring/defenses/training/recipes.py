"""Recipes: a training loss by name, with the learning rate and schedule that suit it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparring.attacks.gradient.pgd import PGD
from sparring.defenses.training.loss import TrainingLoss
from sparring.defenses.training.madry import AdversarialTraining
from sparring.defenses.training.standard import Standard
from sparring.errors import InputError
from sparring.threat import Threat


@dataclass(frozen=True)
class Options:
    """What a recipe may depend on: what to become robust against, and the steps of the attack in training."""

    threat: Threat | None = None
    steps: int = 7


@dataclass(frozen=True)
class Recipe:
    """A way to train.

    Attributes:
        title: what tables call it. lr, schedule: good defaults with Adam. make: its loss.
    """

    title: str
    lr: float
    schedule: str
    make: Callable[[Options], TrainingLoss]


def _standard(options: Options) -> TrainingLoss:
    return Standard()


def _pgd(options: Options) -> TrainingLoss:
    if options.threat is None or options.threat.eps is None:
        raise InputError("the recipe pgd needs a radius to train for: --eps 0.3 for digits, 8/255 for photographs")
    return AdversarialTraining(options.threat, PGD(steps=options.steps))


RECIPES: dict[str, Recipe] = {
    "standard": Recipe("standard", 2e-3, "drop", _standard),
    "pgd": Recipe("PGD adversarial training", 3e-3, "triangular", _pgd),
}


def find_recipe(name: str) -> Recipe:
    """The recipe of that name, or an `InputError` that lists them."""
    if name not in RECIPES:
        raise InputError(f"no recipe is called {name!r}; there are: {', '.join(RECIPES)}")
    return RECIPES[name]
