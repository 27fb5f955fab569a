"""Controls: attacks that are there to tell whether the others could have found more. What they break counts, too.

They run after the cascade, on the images of the sanity subset: transfer on all of them (C3), a longer search on those
that still stand (C6), and a second look by gradients at those that only others have broken (C2, C3): it tells gradients
that mislead from climbs that were too short. Random answers are judged by fresh looks, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from sparring.attack import Attack, build
from sparring.audit.cascade import transfer
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.majority_vote import judged, keep_for
from sparring.audit.suites.stage import Family, Stage, unfit
from sparring.batches import run_batches
from sparring.model import Model
from sparring.threat import Untargeted

CONTROLS = 5
"first number of the `place` of their outcomes; the second is their number"
DOUBLED, RESTARTED = 10, 11
"second numbers of the longer searches; transfers are numbered from 0"
RESTARTS = 5
SECOND = (
    Stage("Second look (APGD-DLR, 5 restarts)", "apgd-dlr:steps=100,restarts=5", "iterative", full_on_subset=False),
    Stage(
        "Second look (APGD-CE, 5 restarts)",
        "apgd-ce:steps=100,restarts=5",
        "iterative",
        saturating_loss=True,
        full_on_subset=False,
    ),
)
"numbered from 20"
CLOSE = 0.5
"the share of the clean margin from which gradients are taken to have been on their way"


def run_transfer(cascade: Cascade, model: Model, rows: Tensor) -> None:
    """Examples made for another net, shown to the model: on the images `rows` [r] (numbers)."""
    clean = cascade.clean
    other = transfer.surrogate(model, clean.x, clean.classes) if len(rows) else None
    if other is None or model.access == "decision":  # there is no attack with gradients to compare with
        return
    x, y = clean.x[rows], clean.y[rows]
    for number, spec in enumerate(transfer.SPECS):
        points = transfer.crafted(spec, other, x, y, cascade.threat, cascade.seed, cascade.batch_size)
        if points is not None:
            _run(cascade, model, transfer.stage(spec, other), transfer.Shown.of(x, points), rows, number)


def run_second_look(cascade: Cascade, model: Model, rows: Tensor) -> None:
    """Long climbs on those of `rows` [r] that only queries, noise or transfer have broken, where gradients were close.

    An honest net is so hard to climb that a long random search sometimes finds what a short climb misses. Where
    gradients mislead they do not come close, or do not arrive with restarts either. No unbroken image is attacked.
    """
    others, _ = _found(cascade, "query", "noise", "transfer")
    for number, stage in enumerate(SECOND, 20):
        found, margin = _found(cascade, "single-step", "iterative")
        close = 1 - margin / Untargeted(cascade.clean.y).margin(cascade.clean.logits).double() >= CLOSE
        left = rows[(others & ~found & close)[rows]]
        if len(left) and unfit(stage, model, cascade.threat) is None:
            _run(cascade, model, stage, stage.attack(), left, number)


def _found(cascade: Cascade, *families: Family) -> tuple[Tensor, Tensor]:
    """[N] each: whether any attack of these families broke it, and the largest margin they brought it to."""
    n = len(cascade.clean)
    broken, margin = torch.zeros(n, dtype=torch.bool), torch.full((n,), -torch.inf, dtype=torch.float64)
    for one in cascade.outcomes:
        if one.stage.family in families and not one.stage.excluded:
            broken[one.rows[one.result.success]] = True
            margin[one.rows] = torch.fmax(margin[one.rows], one.result.margin.double())
    return broken, margin


def longest(stages: Sequence[Stage]) -> Stage | None:
    """The climb that longer searches are made of: the one of most passes that sees gradients, steers by the logits,
    and is run on the whole sanity subset. Whatever the order of the stages, it is the same."""
    able = [
        one
        for one in stages
        if one.family == "iterative" and not (one.saturating_loss or one.excluded) and one.full_on_subset
    ]
    climbs = [one for one in able if "steps" in one.attack().settings()]
    return max(climbs, key=lambda stage: (stage.most_passes(2), stage.spec), default=None)


def longer(stages: Sequence[Stage]) -> list[tuple[int, Stage]]:
    """The longer searches that follow these stages, with their numbers: twice the steps, five restarts."""
    base = longest(stages)
    if base is None:
        return []
    attack = base.attack()
    fields = attack.settings()
    changes = [(DOUBLED, "twice the steps", {"steps": 2 * int(fields["steps"])})]
    if int(fields.get("restarts") or RESTARTS) < RESTARTS:
        changes.append((RESTARTED, f"{RESTARTS} restarts", {"restarts": RESTARTS}))
    return [
        (
            number,
            Stage(
                f"{base.title}, {what}",
                build(attack.info, {**fields, **change}).spec,
                "iterative",
                full_on_subset=False,
                excluded=True,
            ),
        )
        for number, what, change in changes
    ]


def run_longer(cascade: Cascade, model: Model, stages: Sequence[Stage], rows: Tensor) -> None:
    """The suite's last climb with twice the steps, and with five restarts, on those of `rows` that still stand."""
    for number, stage in longer(stages):
        left = rows[cascade.standing[rows]]
        if len(left) and unfit(stage, model, cascade.threat) is None:
            _run(cascade, model, stage, stage.attack(), left, number)


def _run(cascade: Cascade, model: Model, stage: Stage, attack: Attack, rows: Tensor, number: int) -> None:
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    draws, seed, size = cascade.draws, cascade.seed, cascade.batch_size
    keep = keep_for(attack) if draws else "best"
    result = run_batches(attack, model, (x, y), cascade.threat, batch_size=size, seed=seed, keep=keep)
    result = judged(model, result, x, y, draws, seed, size) if draws else result
    cascade.add(stage, rows, result, (CONTROLS, number))
