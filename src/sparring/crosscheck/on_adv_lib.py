"""adv-lib: its minimum-norm attacks hand the clean image back where they fail; the others claim nothing."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from sparring.crosscheck.peer import (
    APGD_STEPS,
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
    moved,
)
from sparring.crosscheck.watch import Watched


def runs(setting: Setting) -> dict[str, Run]:
    """Its attacks under this norm."""
    known, p, eps = import_module("adv_lib.attacks"), setting.p, setting.eps
    made: dict[str, Any] = {"FMN": partial(known.fmn, norm=p, steps=SEARCH_STEPS)}
    if setting.norm == "Linf":
        made["PGD"] = lambda net, x, y: known.pgd_linf(net, x, y, eps, steps=PGD_STEPS, relative_step_size=PGD_STEP)
    made["APGD-CE"] = partial(
        known.apgd, eps=eps, norm=p, n_iter=APGD_STEPS, loss_function="ce", use_large_reps=setting.norm == "L1"
    )
    if setting.norm == "L2":
        made["DDN"] = partial(known.ddn, steps=SEARCH_STEPS, levels=None)
        made["C&W"] = partial(
            known.carlini_wagner_l2,
            max_iterations=CW_STEPS,
            binary_search_steps=CW_SEARCH,
            learning_rate=CW_RATE,
            initial_const=CW_CONST,
        )
    return {name: partial(_run, one, name in SMALLEST) for name, one in made.items()}


def _run(attack: Any, keeps_clean: bool, net: Watched, x: Tensor, y: Tensor) -> Answer:
    points: Tensor = attack(net, x, y)
    return points, moved(points, x) if keeps_clean else None
