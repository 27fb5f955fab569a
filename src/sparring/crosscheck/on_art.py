"""ART, the Adversarial Robustness Toolbox: numpy in, numpy out; it claims nothing."""

from __future__ import annotations

import contextlib
import io
import logging
from functools import partial
from importlib import import_module
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.crosscheck.peer import (
    APGD_STEPS,
    CW_CONST,
    CW_RATE,
    CW_SEARCH,
    CW_STEPS,
    PGD_STEP,
    PGD_STEPS,
    Answer,
    Run,
    Setting,
)
from sparring.crosscheck.watch import Watched


def runs(setting: Setting) -> dict[str, Run]:
    """Its attacks under this norm."""
    known = import_module("art.attacks.evasion")
    classifier = import_module("art.estimators.classification").PyTorchClassifier
    logging.getLogger("art").setLevel(logging.ERROR)
    ball = {"norm": setting.p, "eps": setting.eps}
    quiet = {"batch_size": 64, "verbose": False}
    made: dict[str, Any] = {
        "FGSM": partial(known.FastGradientMethod, **ball, batch_size=64),
        "PGD": partial(
            known.ProjectedGradientDescentPyTorch,
            **ball,
            eps_step=PGD_STEP * setting.eps,
            max_iter=PGD_STEPS,
            num_random_init=1,
            **quiet,
        ),
        "APGD-CE": partial(
            known.AutoProjectedGradientDescent,
            **ball,
            eps_step=2 * setting.eps,
            max_iter=APGD_STEPS,
            nb_random_init=1,
            loss_type="cross_entropy",
            **quiet,
        ),
    }
    if setting.norm == "L2":
        made["C&W"] = partial(
            known.CarliniL2Method,
            binary_search_steps=CW_SEARCH,
            max_iter=CW_STEPS,
            learning_rate=CW_RATE,
            initial_const=CW_CONST,
            **quiet,
        )
    return {name: partial(_run, classifier, one, setting.classes) for name, one in made.items()}


def _run(classifier: Any, make: Any, classes: int, net: Watched, x: Tensor, y: Tensor) -> Answer:
    with contextlib.redirect_stderr(io.StringIO()):
        place = "cpu" if x.device.type == "cpu" else "gpu"
        victim = classifier(
            net, nn.CrossEntropyLoss(), tuple(x.shape[1:]), classes, clip_values=(0.0, 1.0), device_type=place
        )
        points = make(victim).generate(x.cpu().numpy(), F.one_hot(y, classes).float().cpu().numpy())
    return torch.from_numpy(points).to(x), None
