"""Controls: attacks that are there to tell whether the others could have found more. What they break counts, too.

They run after the cascade, on the images of the sanity subset: transfer on those that gradients do not break (C3), a
longer search on the nearest of those that still stand (C6), and a second look by gradients at those that only others
have broken (C2, C3): it tells gradients that mislead from climbs that were too short. Random answers are judged by
fresh looks, as everywhere.

Together with the receipt they may cost a third of what the attacks on the shard have cost (`allowance`), but a second
look is always given to ten images: without it, honest nets would be accused.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sparring.attack import Attack, build
from sparring.audit.cascade import transfer
from sparring.audit.cascade.cascade import Cascade, watched
from sparring.audit.cascade.decide import decided
from sparring.audit.cascade.majority_vote import keep_for
from sparring.audit.cascade.outcome import LADDER, Outcome
from sparring.audit.cascade.progress import Clock, Tell
from sparring.audit.cascade.wrappers import on_surrogate, subject, surrogate_of
from sparring.audit.suites.stage import Family, Stage, unfit
from sparring.batches import run_batches
from sparring.model import Model
from sparring.threat import Untargeted

CONTROLS = 5
"first number of the `place` of their outcomes; the second is their number"
DOUBLED, RESTARTED = 10, 11
"second numbers of the longer searches; transfers are numbered from 0"
RESTARTS = 5
AT_LEAST = 10
"images that get a second look whatever it costs"
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
SECOND_LOOK = 20
"second number of the first of them"
CLOSE = 0.5
"the share of the clean margin from which gradients are taken to have been on their way"
NEAREST, REACH = 20, 0.65
"images that get the longer searches however far they are; the share of the margin from which all others do, too"


def allowance(cascade: Cascade) -> int:
    """Forward plus backward passes that receipt and controls may take together: a third of what the attacks took."""
    return passes_of(cascade, LADDER) // 3


def needed(cascade: Cascade, stages: Sequence[Stage], rows: Tensor, longer_too: bool) -> int:
    """Passes that the controls would take on the images `rows`, as far as can be known before the receipt."""
    classes = cascade.clean.classes
    second = len(_unfound(cascade, rows)) * sum(stage.most_passes(classes) for stage in SECOND)
    climbs = sum(stage.most_passes(classes) for _, stage in longer(stages)) if longer_too else 0
    return second + len(_within_reach(cascade, rows)) * climbs


def passes_of(cascade: Cascade, *places: int) -> int:
    """Passes of the outcomes whose places begin so."""
    chosen = [one.result for one in cascade.outcomes if one.place[0] in places]
    return sum(int(result.queries.sum() + result.gradients.sum()) for result in chosen)


def run_transfer(cascade: Cascade, model: Model, rows: Tensor, clock: Clock | None = None) -> None:
    """Examples made for another net, shown to the model: on the images `rows` [r] (numbers)."""
    clean = cascade.clean
    other = transfer.surrogate(model, clean.x, clean.classes) if len(rows) else None
    if other is None or model.access == "decision":  # there is no attack with gradients to compare with
        with watched(clock, cascade, 0):
            return
    x, y = clean.x[rows], clean.y[rows]
    with watched(clock, cascade, len(transfer.SPECS) * len(rows)) as tell:
        for number, spec in enumerate(transfer.SPECS):
            points = transfer.crafted(spec, other, x, y, cascade.threat, cascade.seed, cascade.batch_size)
            if points is not None:
                _run(cascade, model, transfer.stage(spec, other), transfer.Shown.of(x, points), rows, number, tell)


def run_second_look(
    cascade: Cascade,
    model: Model,
    rows: Tensor,
    passes: int | None = None,
    clock: Clock | None = None,
    past: str = "",
) -> None:
    """Long climbs on those of `rows` [r] that only queries, noise or transfer have broken, where gradients were close.

    An honest net is so hard to climb that a long random search sometimes finds what a short climb misses. Where
    gradients mislead they do not come close, or do not arrive with restarts either. No unbroken image is attacked.

    Args:
        passes: for so many passes, but ten images at least; None = all of them.
        past: the wrapper that shows gradients past what hides them, "exposed" or "detour"; then the climbs are adaptive
            attacks, and those that have run count as gradients, too.
    """
    each = sum(stage.most_passes(cascade.clean.classes) for stage in SECOND)
    most = None if passes is None else max(AT_LEAST, passes // each)
    chosen = _unfound(cascade, rows, past)[:most]
    with watched(clock, cascade, len(SECOND) * len(chosen)) as tell:
        for number, stage in enumerate(SECOND, SECOND_LOOK):
            left = _unfound(cascade, chosen, past)
            stage = replace(stage, wrapper=past, family="adaptive") if past else stage
            if len(left) and unfit(stage, model, cascade.threat) is None:
                _run(cascade, model, stage, stage.attack(), left, number, tell)


def looks_twice(outcome: Outcome) -> bool:
    """It is a second look."""
    return outcome.place[0] == CONTROLS and outcome.place[1] >= SECOND_LOOK


def _unfound(cascade: Cascade, rows: Tensor, past: str = "") -> Tensor:
    """Those of `rows` [r] that only queries, noise or transfer have broken, and that gradients came close to."""
    others, _ = _found(cascade, "query", "noise", "transfer")
    climbs: tuple[Family, ...] = ("single-step", "iterative", "adaptive") if past else ("single-step", "iterative")
    found, margin = _found(cascade, *climbs, wrappers=("", past))
    close = 1 - margin / Untargeted(cascade.clean.y).margin(cascade.clean.logits).double() >= CLOSE
    return rows[(others & ~found & close)[rows]]


def missed_by_gradients(cascade: Cascade, rows: Tensor) -> Tensor:
    """Those of `rows` [r] (numbers) that no attack with gradients has broken: others say something about these only."""
    return rows[~_found(cascade, "single-step", "iterative")[0][rows]]


def _within_reach(cascade: Cascade, rows: Tensor) -> Tensor:
    """Those of `rows` [r] that stand, nearest to the boundary first: `NEAREST` of them, and all others in `REACH`."""
    standing = rows[cascade.standing[rows]]
    margin = _found(cascade, "single-step", "iterative")[1]
    way = (1 - margin / Untargeted(cascade.clean.y).margin(cascade.clean.logits).double()).nan_to_num(0.0)[standing]
    order = way.argsort(descending=True, stable=True)
    return standing[order][: max(NEAREST, int((way >= REACH).sum()))]


def _found(cascade: Cascade, *families: Family, wrappers: Sequence[str] | None = None) -> tuple[Tensor, Tensor]:
    """[N] each: whether any attack of these families broke it, and the largest margin they brought it to.

    `wrappers`: only of attacks that look at the model so, as margins of other logits cannot be compared.
    """
    n = len(cascade.clean)
    broken, margin = torch.zeros(n, dtype=torch.bool), torch.full((n,), -torch.inf, dtype=torch.float64)
    for one in cascade.outcomes:
        comparable = wrappers is None or one.stage.wrapper in wrappers
        if one.stage.family in families and not one.stage.excluded and comparable:
            broken[one.rows[one.result.success]] = True
            margin[one.rows] = torch.fmax(margin[one.rows], one.result.margin.double())
    return broken, margin


def longest(stages: Sequence[Stage]) -> Stage | None:
    """The climb that longer searches are made of: the one of most passes that sees gradients, steers by the logits,
    and is run on the whole sanity subset; of those that can begin anew, if there are any. Whatever the order of the
    stages, it is the same."""
    able = [
        one
        for one in stages
        if one.family == "iterative" and not (one.saturating_loss or one.excluded) and one.full_on_subset
    ]
    climbs = [one for one in able if "steps" in one.attack().settings()]
    return max(
        climbs,
        key=lambda stage: ("restarts" in stage.attack().settings(), stage.most_passes(2), stage.spec),
        default=None,
    )


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
                wrapper=base.wrapper,
            ),
        )
        for number, what, change in changes
    ]


def run_longer(
    cascade: Cascade,
    model: Model,
    stages: Sequence[Stage],
    rows: Tensor,
    passes: int | None = None,
    clock: Clock | None = None,
) -> None:
    """The suite's last climb with twice the steps, and with five restarts, on those of `rows` that are within reach.

    Args:
        passes: on as many of them, nearest first, as so many passes are enough for; None = on all.
    """
    searches = longer(stages)
    each = sum(stage.most_passes(cascade.clean.classes) for _, stage in searches)
    chosen = _within_reach(cascade, rows)[: None if passes is None else max(0, passes) // max(each, 1)].sort().values
    with watched(clock, cascade, len(searches) * len(chosen)) as tell:
        for number, stage in searches:
            left = chosen[cascade.standing[chosen]]
            if len(left) and unfit(stage, model, cascade.threat) is None:
                _run(cascade, model, stage, stage.attack(), left, number, tell)


def _run(
    cascade: Cascade, model: Model, stage: Stage, attack: Attack, rows: Tensor, number: int, tell: Tell = None
) -> None:
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    draws, seed, size = cascade.draws, cascade.seed, cascade.batch_size
    keep = keep_for(attack) if draws or on_surrogate(stage) else "best"
    seen = subject(model, stage.wrapper, x)
    result = run_batches(attack, seen, (x, y), cascade.threat, batch_size=size, seed=seed, keep=keep, progress=tell)
    result = decided(
        model,
        result,
        x,
        y,
        draws=draws,
        seed=seed,
        batch_size=size,
        elsewhere=on_surrogate(stage),
        screened=surrogate_of(model) is not None,
    )
    cascade.add(stage, rows, result, (CONTROLS, number))
