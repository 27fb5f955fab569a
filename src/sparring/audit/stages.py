"""What can be said of attacks beside each other: what they know, and how much each leaves at smaller radii."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from sparring.audit.cascade import Outcome
from sparring.audit.receipt import PLAIN
from sparring.audit.suites import REPLAY, Stage
from sparring.result import Result
from sparring.threat import Threat

STEPS = 24
"points of a security curve above 0"
FILLED = 0.99
"of eps: a success this far out was not looked for further in"


def knowledge(stage: Stage) -> str:
    """What an attack sees of the model: gradient, score, decision, or nothing of it (transfer)."""
    if stage.spec.startswith(REPLAY):
        return "transfer"
    if stage == PLAIN:
        return "gradient"
    info = stage.attack().info
    return "transfer" if ".attacks.transfer." in info.cls.__module__ else info.sees


def standing_over_eps(outcomes: Sequence[Outcome], worst: Result, threat: Threat, subset: int) -> dict[str, Any] | None:
    """How many images of the sanity subset each attack leaves at radii up to the audited one, and all together.

    From the smallest success that each saw on its way. One that `fills` the radius only saw successes at its rim, and
    says nothing about smaller radii.
    """
    rows = worst.clean_correct.nonzero().squeeze(1)[:subset]
    assert threat.eps is not None
    grid = [threat.eps * k / STEPS for k in range(STEPS + 1)]
    curves = []
    for one in outcomes:
        here = torch.isin(one.rows, rows)
        if one.stage.seen and not one.stage.claimed and int(here.sum()) == len(rows):
            distance = one.result.distance[here]
            fills = not bool((distance < FILLED * threat.eps).any())
            curves.append({"attack": one.stage.title, "standing": _left(distance, grid), "fills": fills})
    if not curves or not len(rows):
        return None
    return {"n": len(rows), "eps": grid, "all": _left(worst.distance[rows], grid), "attacks": curves}


def _left(distance: torch.Tensor, grid: Sequence[float]) -> list[int]:
    return [int((distance > eps * (1 + 1e-5)).sum()) for eps in grid]
