"""The audit, from what the user gives to a plan, and from the plan to a report."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sparring.audit.cascade.precision import FULL, LOW, in_precision
from sparring.audit.cascade.progress import Callback
from sparring.audit.cascade.wrappers import surrogate_of, surrogate_text
from sparring.audit.inputs.certificates import check_prover, radii_of
from sparring.audit.inputs.claims import Claim, parse_claim
from sparring.audit.inputs.requirements import Requirement, parse_requirement
from sparring.audit.inputs.settings import AuditSettings, keywords_of, setting
from sparring.audit.inputs.source import Data, Source
from sparring.audit.probes.history import Memory
from sparring.audit.probes.probe import training_modules
from sparring.audit.report.report import Report
from sparring.audit.run.folder import Run
from sparring.audit.run.in_process import carry_out
from sparring.audit.run.order import ordered_by
from sparring.audit.run.plan import Plan
from sparring.audit.suites.builtin import replay_stage
from sparring.audit.suites.find import suite as find_suite
from sparring.audit.suites.stage import Suite, unfit
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.scale.remote import mirrored
from sparring.threat import Threat


@dataclass(frozen=True, kw_only=True)
class AuditCall(AuditSettings):
    """The settings, and how the work is done: on that the result does not depend."""

    progress: Callback | None = setting(None, "Called with a `Step` after each batch.")
    folder: str | Path | None = setting(
        None,
        "Keep every shard and every adversarial example there; memory then does not grow with the images. A folder, or "
        "a place in an object store, s3://BUCKET/RUN; see `sparring.scale.remote`.",
    )
    resume: bool = setting(False, "Go on with the run in `folder`. Any number of processes may do so at the same time.")


@keywords_of(AuditCall)
def audit(model: Model | Callable[..., Any], data: Data, threat: Threat | tuple[Any, ...], call: AuditCall) -> Report:
    """How robust a classifier is, as an upper bound by many attacks, with what there is to doubt and a verdict.

    Args:
        model: a `Model`, or a net that already takes pixels in [0, 1].
        data: (x [N, ...], y [N]), an `ImageData`, or an iterable of such batches (a DataLoader).
        threat: what is allowed, with an eps; a tuple ("Linf", 0.3) does.
        SETTINGS

    Raises:
        SparringError: one line on what is wrong with model, data, threat, suite, claim or folder.
    """
    plan = plan_of(model, data, threat, call)
    required = requirements_of(call, plan.threat)
    if call.folder is None:
        return carry_out(plan, call.progress).requiring(required)
    with mirrored(call.folder, warnings.warn) as folder:
        run = Run.open(plan, folder, call.resume)
        run.store.mend()
        run.work(progress=call.progress)
        return run.report().requiring(required)


@keywords_of(AuditSettings)
def plan_audit(
    model: Model | Callable[..., Any], data: Data, threat: Threat | tuple[Any, ...], settings: AuditSettings
) -> Plan:
    """What an audit will do, once it is known that it can be done. Takes what `audit` takes.

    Args:
        model, data, threat: as in `audit`.
        SETTINGS
    """
    return plan_of(model, data, threat, settings)


def plan_of(
    model: Model | Callable[..., Any], data: Data, threat: Threat | tuple[Any, ...], settings: AuditSettings
) -> Plan:
    """The plan of an audit with these settings, see `plan_audit`."""
    model = wrap(model)
    if model.success is not None:
        raise InputError(
            f"{model.name} was wrapped with success=, so it does not answer with one class, and the audit's checks are "
            "about classes; attack it with single attacks (sp.attack), or wrap a head that gives classes"
        )
    training, memory = training_modules(model), Memory(model)  # before anything is asked of it
    threat = _audited(threat, model)
    requirements_of(settings, threat)
    chosen, learnt = find_suite(_suited(settings.suite, model)), None
    if settings.order_from is not None:
        chosen, learnt = ordered_by(chosen, settings.order_from)
    stages, left_out = chosen.fit(model, threat)
    stages = in_precision(stages, settings.precision, model.device)
    if settings.replay is not None:
        stages = (replay_stage(Path(settings.replay)), *stages)
    source = Source(data, settings.n, model.classes)
    if settings.certify is not None:
        check_prover(settings.certify, model, threat, source.part(0, 1)[0])
    cheaper = surrogate_of(model)
    return Plan(
        model,
        source,
        threat,
        chosen,
        stages,
        left_out,
        tuple(dict.fromkeys(_settled(parse_claim(claim), threat, model) for claim in settings.claims)),
        settings,
        training,
        None if settings.certified is None else radii_of(settings.certified, len(source)),
        {
            "batch_size": settings.batch_size,
            "n": settings.n,
            "clean_floor": settings.clean_floor,
            "precision": LOW if any(stage.precision for stage in stages) else FULL,
            "order_from": learnt,
            "threads": torch.get_num_threads(),
            "stages": [stage.spec for stage in stages],
            **({} if cheaper is None else {"surrogate": surrogate_text(cheaper)}),
        },
        memory,
    )


def _suited(suite: str | Suite | Sequence[str], model: Model) -> str | Suite | Sequence[str]:
    """The suite that is wanted; the default one needs gradients, so a model without them gets "black-box"."""
    blind = model.access != "gradient" and isinstance(suite, str) and suite == AuditSettings().suite
    return "black-box" if blind else suite


def requirements_of(settings: AuditSettings, threat: Threat) -> list[Requirement]:
    """What is demanded, at the audit's radius.

    Raises:
        InputError: one is about another radius.
    """
    return [parse_requirement(one).at(threat.eps or 0.0) for one in settings.require]


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
