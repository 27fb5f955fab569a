"""Optimizers and learning-rate schedules by name.

A schedule is a function of the part of the run that is over, so it has no state to save and a resumed run
continues exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import torch
from torch import nn
from torch.optim import Optimizer

from sparring.errors import InputError
from sparring.spec import number, parse_spec, unknown

Schedule = Callable[[float], float]
OptimizerFactory = Callable[[Iterable[nn.Parameter], float], Optimizer]
T = TypeVar("T")


def constant(progress: float) -> float:
    """1 throughout."""
    return 1.0


def drop(progress: float) -> float:
    """1, then 0.1 from 70 % of the run on."""
    return 1.0 if progress <= 0.7 else 0.1


def triangular(progress: float) -> float:
    """0 up to 1 at 40 % of the run, then down to 0: Wong et al.'s schedule for fast adversarial training."""
    return progress / 0.4 if progress < 0.4 else (1 - progress) / 0.6


def cosine(progress: float) -> float:
    """Half a cosine from 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * progress))


SCHEDULES: dict[str, Schedule] = {
    "constant": constant,
    "drop": drop,
    "triangular": triangular,
    "cosine": cosine,
}


def momentum_sgd(parameters: Iterable[nn.Parameter], lr: float, weight_decay: float = 0.0) -> Optimizer:
    """Stochastic gradient descent with momentum 0.9."""
    return torch.optim.SGD(parameters, lr, momentum=0.9, weight_decay=weight_decay)


OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": momentum_sgd,
}


def find_schedule(schedule: str | Schedule) -> Schedule:
    """The schedule of that name, or the given function of the progress in [0, 1]."""
    return _find(schedule, SCHEDULES, "schedule")


def find_optimizer(optimizer: str | OptimizerFactory) -> OptimizerFactory:
    """The optimizer of that name ("sgd" has momentum 0.9), or the given function of (parameters, lr).

    A name may have a decay of the weights: "sgd:weight_decay=5e-4". Without, it is torch's default: 0, "adamw" 0.01.

    Raises:
        InputError: no such optimizer, or another setting.
    """
    if not isinstance(optimizer, str):
        return optimizer
    read = parse_spec(optimizer)
    make = _find(read.name, OPTIMIZERS, "optimizer")
    for key, text in read.fields.items():
        if key != "weight_decay":
            raise InputError(f"the optimizer {read.name} has no setting {key!r} here; it has weight_decay")
        decay = number(text)
        if isinstance(decay, str) or not 0 <= decay < float("inf"):
            raise InputError(f"{read.name}: {key}={text} is not understood; give a number, 0 or more")
        return partial(make, weight_decay=decay)
    return make


def _find(choice: str | T, known: dict[str, T], what: str) -> T:
    if not isinstance(choice, str):
        return choice
    if choice not in known:
        raise unknown(what, choice, known)
    return known[choice]
