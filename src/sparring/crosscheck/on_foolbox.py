"""Foolbox: it says itself which points fool (`is_adv`)."""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from sparring.crosscheck.peer import (
    CW_CONST,
    CW_RATE,
    CW_SEARCH,
    CW_STEPS,
    PGD_STEP,
    PGD_STEPS,
    SEARCH_STEPS,
    SMALLEST,
    Answer,
    Run,
    Setting,
)
from sparring.crosscheck.watch import Watched


def runs(setting: Setting) -> dict[str, Run]:
    """Its attacks under this norm."""
    foolbox = import_module("foolbox")
    logging.getLogger("root").setLevel(logging.ERROR)
    known = foolbox.attacks
    pgd = {"steps": PGD_STEPS, "rel_stepsize": PGD_STEP}
    made: dict[str, Any] = {}
    if setting.norm == "Linf":
        made = {
            "FGSM": known.LinfFastGradientAttack(),
            "PGD": known.LinfPGD(**pgd),
            "FMN": known.LInfFMNAttack(steps=SEARCH_STEPS),
        }
    elif setting.norm == "L2":
        made = {
            "FGSM": known.L2FastGradientAttack(),
            "PGD": known.L2PGD(**pgd),
            "C&W": known.L2CarliniWagnerAttack(
                binary_search_steps=CW_SEARCH, steps=CW_STEPS, stepsize=CW_RATE, initial_const=CW_CONST
            ),
            "DDN": known.DDNAttack(steps=SEARCH_STEPS),
            "FMN": known.L2FMNAttack(steps=SEARCH_STEPS),
        }
    elif setting.norm == "L1":
        made = {"FMN": known.L1FMNAttack(steps=SEARCH_STEPS)}
    return {name: partial(_run, foolbox, one, None if name in SMALLEST else setting.eps) for name, one in made.items()}


def _run(foolbox: Any, attack: Any, eps: float | None, net: Watched, x: Tensor, y: Tensor) -> Answer:
    model = foolbox.PyTorchModel(net, bounds=(0, 1), device=x.device)
    _, points, fooled = attack(model, x, y, epsilons=eps)
    return points, fooled
