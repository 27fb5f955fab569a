"""What a run has proved, proved again: every certificate by the method that made it, with more time.

A certificate that cannot be proved again does not hold, whatever the reason. Lower bounds of methods without a search
are compared too; those of a search depend on what it had time for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from sparring.audit.cascade.certificate import Certificate
from sparring.audit.inputs.clean import Clean
from sparring.audit.run.plan import Plan
from sparring.audit.run.shard import ShardResult
from sparring.certify.api import certify
from sparring.certify.methods import Method

CLOSE = 1e-3
"of the bound, and of 1: forgiven to rounding, and to another processor"


def certificate_findings(plan: Plan, clean: Clean, part: ShardResult) -> Iterator[str]:
    """What does not hold of the certificates of a shard.

    Args:
        clean: its images, with pixels.
    """
    method, said = plan.prover, part.certificate
    if method is None or said is None:
        if method is not None or said is not None:
            yield "certificates are there that the plan does not ask for, or the other way round"
        return
    eps = plan.threat.eps
    assert eps is not None
    if said.method != method.spec:
        yield f"the certificates are said to be by {said.method}; the plan has {method.spec}"
    broken = part.worst[0].success | ~clean.correct
    refuted = int((said.certified & broken).sum())
    if refuted:
        yield f"{refuted} images are proved and broken"
    drawn = torch.zeros_like(said.certified)  # the images of the curve: they alone may be proved at other radii
    if part.trials is not None:
        drawn[part.trials.rows] = True
    allowed = {eps, 0.0, *(() if part.trials is None else part.trials.grid)}
    if any(float(one) not in allowed for one in said.radius) or bool((said.radius[~drawn] > eps).any()):
        yield "a proved radius is none of those that are asked about"
    if bool((said.certified != (said.radius >= eps)).any()):
        yield "the certificates at the audited radius and the proved radii do not agree"
    yield from _again(plan, clean, said, -part.worst[0].margin, method.patient())
    for radius in sorted(set(said.radius.tolist()) - {0.0, eps}):
        at = (said.radius == radius).nonzero().squeeze(1)
        found = certify(
            plan.model, clean.x[at], clean.y[at], replace(plan.threat, eps=radius), method.bounds_only(),
            batch_size=plan.batch_size,
        )  # fmt: skip
        if not bool(found.certified.all()):
            lost = int((~found.certified).sum())
            yield f"{lost} of {len(at)} certificates at eps {radius:.4g} cannot be proved again"


def _again(plan: Plan, clean: Clean, said: Certificate, seen: Tensor, method: Method) -> Iterator[str]:
    """The certificates at the audited radius, and the bounds; `seen`: [n] the smallest margin that an attack saw."""
    rows = clean.correct.clone() if method.compares else said.certified & clean.correct
    at = rows.nonzero().squeeze(1)
    if bool(said.bound[~clean.correct].isfinite().any()) or bool(said.certified[~clean.correct].any()):
        yield "something is proved of images that are wrong"
    if not len(at):
        return
    found = certify(
        plan.model, clean.x[at], clean.y[at], plan.threat, method, seed=plan.seed, batch_size=plan.batch_size
    )
    lost = said.certified[at] & ~found.certified
    if bool(lost.any()):
        why = "an attack breaks them" if bool(found.attacked[lost].any()) else "of the bounds, or of the time"
        yield f"{int(lost.sum())} of {int(said.certified.sum())} certificates cannot be proved again ({why})"
    if method.compares:
        off = int((_apart(said.bound[at], found.bound)).sum())
        if off:
            yield f"{off} lower bounds of the margin are not those that {method.name} gives"
    if bool((said.bound > seen + CLOSE)[clean.correct].any()):
        yield "a lower bound of the margin is above a margin that was seen"


def _apart(a: Tensor, b: Tensor) -> Tensor:
    return ~((a - b).abs() <= CLOSE * torch.maximum(b.abs(), torch.ones(())))
