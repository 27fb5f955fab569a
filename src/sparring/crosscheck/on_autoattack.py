"""AutoAttack's own APGD, from `autoattack` or `pyautoattack`: it hands the clean image back where it fails."""

from __future__ import annotations

import inspect
import logging
from functools import partial
from importlib import import_module
from typing import Any

from torch import Tensor

from sparring.crosscheck.peer import APGD_STEPS, Answer, Run, Setting, moved
from sparring.crosscheck.watch import Watched


def runs(setting: Setting) -> dict[str, Run]:
    """Its attacks under this norm."""
    try:
        known = import_module("autoattack.autopgd_base")
    except ImportError:
        known = import_module("pyautoattack.autopgd_base")
    return {"APGD-CE": partial(_run, known.APGDAttack, setting)}


def _run(make: Any, setting: Setting, net: Watched, x: Tensor, y: Tensor) -> Answer:
    settings: dict[str, Any] = {"n_iter": APGD_STEPS, "norm": setting.norm, "eps": setting.eps, "loss": "ce"}
    settings |= {"n_restarts": 1, "seed": setting.seed, "device": x.device, "use_largereps": setting.norm == "L1"}
    if "logger" in inspect.signature(make).parameters:
        settings["logger"] = logging.getLogger("sparring.crosscheck")
    points: Tensor = make(net, **settings).perturb(x, y)
    return points, moved(points, x)
