"""The audit, from what the user gives to a plan, and from the plan to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch

from sparring.audit.claims import Claim, parse_claim
from sparring.audit.clean import Data, look, refuse_chance
from sparring.audit.plan import Plan, as_claimed
from sparring.audit.probes import training_modules
from sparring.audit.progress import Callback
from sparring.audit.report import Report
from sparring.audit.require import Requirement, parse_requirement
from sparring.audit.suites import Suite, unfit
from sparring.audit.suites import suite as find_suite
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.threat import Threat


def audit(
    model: Model | Callable[..., Any],
    data: Data,
    threat: Threat | tuple[Any, ...],
    *,
    suite: str | Suite | Sequence[str] = "standard",
    claims: Iterable[str | float | Claim] = (),
    seed: int = 0,
    batch_size: int = 256,
    n: int | None = None,
    progress: Callback | None = None,
    clean_floor: float | None = None,
    require: Iterable[str | Requirement] = (),
) -> Report:
    """How robust a classifier is, as an upper bound by many attacks, with what there is to doubt and a verdict.

    Args:
        model: a `Model`, or a net that already takes pixels in [0, 1].
        data: (x [N, ...], y [N]), an `ImageData`, or an iterable of such batches (a DataLoader).
        threat: what is allowed, with an eps; a tuple ("Linf", 0.3) does.
        suite: "quick", "standard" (AutoAttack's less FAB) or "full", a `Suite`, or a list of attack specs.
        claims: what is said of the model: "fgsm:0.3=0.88", "0.3=0.88", "0.88", "clean=0.99", or a `Claim`.
        seed: the same seed gives the same report, whatever the batch size.
        batch_size: images at once. n: only the first n images.
        progress: called with a `Step` after each batch.
        clean_floor: refuse a model below this clean accuracy; None = near chance (see `refuse_chance`), 0 = never.
        require: what the model must reach: "robust@0.3 >= 85%", "clean >= 97%"; judged in `report.requirements`.

    Raises:
        SparringError: one line on what is wrong with model, data, threat, suite or claim.
    """
    model = wrap(model)
    training = training_modules(model)  # before anything is asked of it
    threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
    if not threat.eps:
        raise InputError(f"an audit needs a radius above 0: Threat({str(threat.norm)!r}, eps=...), eps is {threat.eps}")
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}; expected at least 1")
    chosen = find_suite(suite)
    stages, left_out = chosen.fit(model, threat)
    known = [_settled(parse_claim(claim), threat, model) for claim in claims]
    required = [parse_requirement(one).at(threat.eps) for one in require]
    clean = look(model, data, n, batch_size)
    refuse_chance(model, clean, clean_floor)
    plan = Plan(model, clean, threat, chosen, stages, tuple(known), seed, batch_size)
    settings = {
        "batch_size": batch_size,
        "n": n,
        "clean_floor": clean_floor,
        "threads": torch.get_num_threads(),
        "stages": [stage.spec for stage in stages],
    }
    return plan.carry_out(progress, training, left_out, settings).requiring(required)


def _settled(claim: Claim, threat: Threat, model: Model) -> Claim:
    """The claim with its eps, and its attack known to run here."""
    claim = claim if claim.eps is not None else replace(claim, eps=threat.eps)
    if claim.attack is not None and not claim.clean:
        reason = unfit(as_claimed(claim), model, threat)
        if reason is not None:
            raise InputError(f"the claimed attack {claim.attack!r} cannot be run here: {reason}")
    return claim
