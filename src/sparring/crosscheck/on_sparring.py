"""Ours, through the same window: called, watched and judged like everybody else's."""

from __future__ import annotations

from functools import partial

from torch import Tensor

from sparring.attacks import attack
from sparring.crosscheck.peer import (
    APGD_STEPS,
    CW_CONST,
    CW_RATE,
    CW_SEARCH,
    CW_STEPS,
    PGD_STEPS,
    SEARCH_STEPS,
    SMALLEST,
    Answer,
    Run,
    Setting,
)
from sparring.crosscheck.watch import Watched
from sparring.model import wrap
from sparring.norms import norm
from sparring.threat import Threat

SPECS = {
    "FGSM": "fgsm",
    "PGD": f"pgd:steps={PGD_STEPS}",
    "APGD-CE": f"apgd-ce:steps={APGD_STEPS}",
    "C&W": f"cw-l2:steps={CW_STEPS},search={CW_SEARCH},lr={CW_RATE},c={CW_CONST}",
    "DDN": f"ddn:steps={SEARCH_STEPS}",
    "FMN": f"fmn:steps={SEARCH_STEPS}",
}


def runs(setting: Setting) -> dict[str, Run]:
    """Our attacks under this norm."""
    wanted = norm(setting.norm)
    able = {name: spec for name, spec in SPECS.items() if wanted in attack(spec).info.norms}
    return {name: partial(_run, spec, setting, name in SMALLEST) for name, spec in able.items()}


def _run(spec: str, setting: Setting, smallest: bool, net: Watched, x: Tensor, y: Tensor) -> Answer:
    threat = Threat(setting.norm, None if smallest else setting.eps)
    result = attack(spec)(wrap(net), x, y, threat, seed=setting.seed)
    return result.x_adv.to(x), (result.success & result.clean_correct).to(x.device)
