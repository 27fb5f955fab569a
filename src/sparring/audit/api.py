"""The audit, from what the user gives to a plan, and from the plan to a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from sparring.audit.cascade.precision import FULL, LOW, in_precision
from sparring.audit.cascade.progress import Callback
from sparring.audit.inputs.certificates import Radii, radii_of
from sparring.audit.inputs.claims import Claim, parse_claim
from sparring.audit.inputs.requirements import Requirement, parse_requirement
from sparring.audit.inputs.source import Data, Source
from sparring.audit.probes.probe import training_modules
from sparring.audit.report.report import Report
from sparring.audit.run.in_process import carry_out
from sparring.audit.run.order import ordered_by
from sparring.audit.run.plan import SHARD, Plan
from sparring.audit.suites.builtin import suite as find_suite
from sparring.audit.suites.replay import replay_stage
from sparring.audit.suites.stage import Suite, unfit
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.seeds import whole_seed
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
    folder: str | Path | None = None,
    resume: bool = False,
    shard_size: int = SHARD,
    replay: str | Path | None = None,
    certified: Radii | None = None,
    order_from: str | Path | None = None,
    precision: str = FULL,
) -> Report:
    """How robust a classifier is, as an upper bound by many attacks, with what there is to doubt and a verdict.

    Args:
        model: a `Model`, or a net that already takes pixels in [0, 1].
        data: (x [N, ...], y [N]), an `ImageData`, or an iterable of such batches (a DataLoader).
        threat: what is allowed, with an eps; a tuple ("Linf", 0.3) does.
        suite: one by name, a `Suite`, or a list of attack specs, see `audit.suites`.
        claims: what is said of the model: "fgsm:0.3=0.88", "0.3=0.88", "0.88", "clean=0.99", or a `Claim`.
        seed: the same seed gives the same report, whatever the batch size.
        batch_size: images at once. n: only the first n images.
        progress: called with a `Step` after each batch.
        clean_floor: refuse a model below this clean accuracy; None = near chance (see `refuse_chance`), 0 = never.
        require: what the model must reach: "robust@0.3 >= 85%", "clean >= 97%"; judged in `report.requirements`.
        folder: keep every shard and every adversarial example there; memory then does not grow with the images.
        resume: go on with the run in `folder`. Any number of processes may do so at the same time.
        shard_size: images that are worked on, and kept, together.
        replay: the folder of another audit, whose adversarial examples are tried before any attack.
        certified: a radius for each image that somebody has proved, or a file of them: the robust accuracy then has a
            lower bound too, and a certificate that an attack breaks is told. See `audit.certified`.
        order_from: the folder of another audit, of an earlier checkpoint for instance: the suite's attacks then run in
            the order that would have paid best there, see `audit.learnt`.
        precision: what the suite's attacks search in: "float32" (the model's own), "bfloat16", or "auto" (bfloat16
            where the processor knows it). Every verdict is the model's own, see `audit.precision`.

    Raises:
        SparringError: one line on what is wrong with model, data, threat, suite, claim or folder.
    """
    model = wrap(model)
    threat = _audited(threat, model)
    required = [parse_requirement(one).at(threat.eps or 0.0) for one in require]
    plan = plan_audit(
        model,
        data,
        threat,
        suite=suite,
        claims=claims,
        seed=seed,
        batch_size=batch_size,
        n=n,
        clean_floor=clean_floor,
        shard_size=shard_size,
        replay=replay,
        certified=certified,
        order_from=order_from,
        precision=precision,
    )
    if folder is None:
        return carry_out(plan, progress).requiring(required)
    from sparring.audit.run.folder import Run

    run = Run.open(plan, folder, resume)
    run.store.mend()
    run.work(progress=progress)
    return run.report().requiring(required)


def plan_audit(
    model: Model | Callable[..., Any],
    data: Data,
    threat: Threat | tuple[Any, ...],
    *,
    suite: str | Suite | Sequence[str] = "standard",
    claims: Iterable[str | float | Claim] = (),
    seed: int = 0,
    batch_size: int = 256,
    n: int | None = None,
    clean_floor: float | None = None,
    shard_size: int = SHARD,
    replay: str | Path | None = None,
    certified: Radii | None = None,
    order_from: str | Path | None = None,
    precision: str = FULL,
) -> Plan:
    """What an audit will do, once it is known that it can be done; see `audit` for all that it takes."""
    model, seed = wrap(model), whole_seed(seed)
    training = training_modules(model)  # before anything is asked of it
    threat = _audited(threat, model)
    for what, value in (("batch size", batch_size), ("shard size", shard_size)):
        if value < 1:
            raise InputError(f"{what} {value}; expected at least 1")
    chosen, learnt = find_suite(suite), None
    if order_from is not None:
        chosen, learnt = ordered_by(chosen, order_from)
    stages, left_out = chosen.fit(model, threat)
    stages = in_precision(stages, precision, model.device)
    if replay is not None:
        stages = (replay_stage(Path(replay)), *stages)
    source = Source(data, n, model.classes)
    return Plan(
        model,
        source,
        threat,
        chosen,
        stages,
        left_out,
        tuple(_settled(parse_claim(claim), threat, model) for claim in claims),
        seed,
        batch_size,
        training,
        clean_floor,
        shard_size,
        None if certified is None else radii_of(certified, len(source)),
        {
            "batch_size": batch_size,
            "n": n,
            "clean_floor": clean_floor,
            "precision": LOW if any(stage.precision for stage in stages) else FULL,
            "order_from": learnt,
            "threads": torch.get_num_threads(),
            "stages": [stage.spec for stage in stages],
        },
    )


def _audited(threat: Threat | tuple[Any, ...], model: Model) -> Threat:
    """The threat in the model's box, if it is one that an audit can be about."""
    threat = (threat if isinstance(threat, Threat) else Threat(*threat)).within(model.box)
    if not threat.eps:
        raise InputError(f"an audit needs a radius above 0: Threat({str(threat.norm)!r}, eps=...), eps is {threat.eps}")
    if threat.region is not None and threat.region.dim() > 3:
        raise InputError(
            f"the region has shape {tuple(threat.region.shape)}, one for each image; an audit takes one for all of "
            "them: [H, W] or [C, H, W]"
        )
    return threat


def _settled(claim: Claim, threat: Threat, model: Model) -> Claim:
    """The claim with its eps, and its attack known to run here."""
    claim = claim if claim.eps is not None else replace(claim, eps=threat.eps)
    if claim.attack is not None and not claim.clean:
        reason = unfit(claim.stage, model, threat)
        if reason is not None:
            raise InputError(f"the claimed attack {claim.attack!r} cannot be run here: {reason}")
    return claim
