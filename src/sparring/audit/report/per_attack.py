"""What can be said of attacks beside each other: what they know, and how much each leaves at smaller radii."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.certificate import SEARCHED
from sparring.audit.cascade.curve import Curve
from sparring.audit.cascade.latent import CODES
from sparring.audit.cascade.outcome import Outcome
from sparring.audit.cascade.receipt import PLAIN
from sparring.audit.cascade.trace_summary import GRID
from sparring.audit.cascade.transfer import Shown
from sparring.audit.suites.replay import Replay
from sparring.audit.suites.stage import Stage
from sparring.result import Result
from sparring.threat import Threat

STEPS = 24
"points of a security curve above 0"
FILLED = 0.99
"of eps: a success this far out was not looked for further in"


def knowledge(stage: Stage) -> str:
    """What an attack sees of the model: gradient, score, decision, or nothing of it (transfer)."""
    if stage in (PLAIN, SEARCHED) or stage.spec.partition(":")[0] in CODES:
        return "gradient"
    return "transfer" if stage.info.cls in (Replay, Shown) else stage.info.sees


def standing_over_eps(
    outcomes: Sequence[Outcome], worst: Result, threat: Threat, rows: Tensor, curve: Curve | None = None
) -> dict[str, Any] | None:
    """How many images of the sanity subset each attack leaves at radii up to the audited one, and all together.

    From the smallest success that each saw on its way. One that `fills` the radius saw most of its successes at its
    rim, and says nothing about smaller radii. "All" knows what the security curve found at smaller radii, too.

    Args:
        rows: numbers of the images in the sanity subset.
        curve: the security curve, drawn by an attack of its own.
    """
    assert threat.eps is not None
    grid = [threat.eps * k / STEPS for k in range(STEPS + 1)]
    curves = []
    for one in outcomes:
        here = torch.isin(one.rows, rows)
        if one.stage.full_on_subset and not one.stage.excluded and int(here.sum()) == len(rows):
            distance = one.result.distance[here]
            hits = distance[distance.isfinite()]
            fills = not len(hits) or 2 * int((hits < FILLED * threat.eps).sum()) < len(hits)
            curves.append({"attack": one.stage.title, "standing": _left(distance, grid), "fills": fills})
    if not curves or not len(rows):
        return None
    best = worst.distance.double().clone()
    if curve is not None:
        at = torch.tensor(curve.rows, dtype=torch.int64)
        best[at] = torch.minimum(best[at], torch.tensor(curve.nearest, dtype=torch.float64))
    return {"n": len(rows), "eps": grid, "all": _left(best[rows], grid), "attacks": curves}


def on_the_subset(outcomes: Sequence[Outcome], rows: Tensor) -> list[dict[str, Any]]:
    """Each attack that ran in full on all images of the sanity subset: its passes by image, and which of them (from 0)
    it breaks by itself. `audit.learnt` makes an order of it."""
    attacks = []
    for one in outcomes:
        here = torch.isin(one.rows, rows)
        if (
            one.stage.full_on_subset
            and not (one.stage.excluded or one.stage.wrapper)
            and int(here.sum()) == len(rows) > 0
        ):
            passes = (one.result.queries + one.result.gradients)[here].tolist()
            broke = one.result.success[here].nonzero().squeeze(1).tolist()
            attacks.append({"spec": one.stage.spec, "passes": passes, "broke": broke})
    return attacks


def over_queries(outcomes: Sequence[Outcome], rows: Tensor, start: Tensor) -> dict[str, Any] | None:
    """How far each attack has got on the sanity subset after so many forward passes: images broken, and the median
    headway (the share of the clean margin that it has taken, see `audit.headway`).

    `start`: [N] margins of the clean images. Margins of rescaled logits are not comparable, and left out.
    """
    curves = []
    for one in outcomes:
        here = torch.isin(one.rows, rows)
        if one.stage.full_on_subset and not one.stage.excluded and int(here.sum()) == len(rows) > 0:
            hit = torch.where(one.result.success[here], one.result.first_hit[here], -1)
            broken = [int(((hit >= 0) & (hit <= q)).sum()) for q in GRID]
            known = {"most": int(one.result.queries[here].max()), "broken": broken}
            curves.append({"attack": one.stage.title, **known, "headway": _headway(one, start)})
    return {"n": len(rows), "queries": list(GRID), "attacks": curves} if curves else None


def _headway(one: Outcome, start: torch.Tensor) -> list[float | None] | None:
    """By `GRID`, None before the first look; None without a path."""
    if one.path is None or one.stage.wrapper.startswith("rescaled"):
        return None
    share = (1 - one.path.best.double() / start[one.path.rows].double()[:, None]).clamp(0, 1)
    median = torch.where(share.isfinite().all(0), share.nanmedian(0).values, torch.nan)
    return [None if value != value else value for value in median.tolist()]


def _left(distance: torch.Tensor, grid: Sequence[float]) -> list[int]:
    return [int((distance > eps * (1 + 1e-5)).sum()) for eps in grid]
