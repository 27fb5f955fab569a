"""torchattacks: it hands points over and claims nothing, C&W aside, which keeps the clean image where it fails."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from sparring.crosscheck.peer import (
    APGD_STEPS,
    CW_RATE,
    CW_STEPS,
    PGD_STEP,
    PGD_STEPS,
    SMALLEST,
    Answer,
    Run,
    Setting,
    moved,
)
from sparring.crosscheck.watch import Watched


def runs(setting: Setting) -> dict[str, Run]:
    """Its attacks under this norm."""
    torchattacks, eps = import_module("torchattacks"), setting.eps
    pgd = {"eps": eps, "alpha": PGD_STEP * eps, "steps": PGD_STEPS}
    apgd = {"norm": setting.norm, "eps": eps, "steps": APGD_STEPS, "loss": "ce", "seed": setting.seed}
    made: dict[str, Any] = {}
    if setting.norm == "Linf":
        made = {
            "FGSM": partial(torchattacks.FGSM, eps=eps),
            "PGD": partial(torchattacks.PGD, **pgd),
            "APGD-CE": partial(torchattacks.APGD, **apgd),
        }
    elif setting.norm == "L2":
        made = {
            "PGD": partial(torchattacks.PGDL2, **pgd),
            "APGD-CE": partial(torchattacks.APGD, **apgd),
            "C&W": partial(torchattacks.CW, c=1, steps=CW_STEPS, lr=CW_RATE),
        }
    return {name: partial(_run, one, name in SMALLEST) for name, one in made.items()}


def _run(make: Any, keeps_clean: bool, net: Watched, x: Tensor, y: Tensor) -> Answer:
    points: Tensor = make(net)(x, y)
    return points, moved(points, x) if keeps_clean else None
