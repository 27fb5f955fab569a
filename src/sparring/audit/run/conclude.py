"""After the attacks: the parts of an audit counted together, checked and judged. The model is not asked any more.

What is per image was decided in its shard; here the stages are only replayed on what each part has stored, in the
order of their places, so that the totals are what one cascade over all images would have counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import reduce

import torch

from sparring.audit.cascade.adaptive import Tried
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.certificate import SEARCH, Certificate
from sparring.audit.cascade.controls import CONTROLS
from sparring.audit.cascade.curve import Trials, draw
from sparring.audit.cascade.outcome import CLAIMED, LADDER, Outcome
from sparring.audit.cascade.proof import Pixels, gallery, samples
from sparring.audit.cascade.receipt import RECEIPT, receipt_of
from sparring.audit.cascade.survival import together
from sparring.audit.cascade.trace_summary import joined
from sparring.audit.checks.bracket import Bracket, refuted
from sparring.audit.checks.evidence import Evidence, OnSubset
from sparring.audit.checks.registry import causes
from sparring.audit.checks.run import run_checks
from sparring.audit.checks.settled import HIDDEN, deceived, masks, settled
from sparring.audit.checks.verdict import Alone, Facts, judge
from sparring.audit.inputs.certificates import proved
from sparring.audit.inputs.claims import Checked
from sparring.audit.inputs.provenance import versions
from sparring.audit.probes.probe import saturated
from sparring.audit.report.report import Report
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared
from sparring.audit.run.schedule import remedies_for, stages_of
from sparring.audit.run.shard import ShardResult, learn_all
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Stage
from sparring.result import concat
from sparring.threat import Untargeted


def conclude(plan: Plan, head: Prepared, parts: Sequence[ShardResult], pixels: Pixels) -> Report:
    """The report of an audit whose parts are all there, in order. `pixels`: for the gallery."""
    cascades = [_replayed(plan, head, parts, radius) for radius in range(len(plan.radii()))]
    main = cascades[0]
    trials = _trials(parts)
    outcomes = tuple(tuple(cascade.outcomes) for cascade in cascades)
    receipt = receipt_of(main, plan.stages)
    learn_all(main, outcomes, trials)  # before claims are compared: what the curve broke counts against them too
    checked = [one for cascade in cascades for one in _compare(plan, cascade)]
    checked += [Checked(claim, 0.0, head.clean.accuracy) for claim in plan.claims if claim.clean]
    seconds = sum(one.result.seconds for one in main.outcomes)
    everything = " + ".join(one.stage.spec for one in main.outcomes)
    worst = replace(concat([part.worst[0] for part in parts]), attack=everything, seconds=seconds)
    certificate = _certificate(parts)
    radius = None if certificate is None else certificate.radius
    curve = None if trials is None else draw(trials, head.clean, worst, radius)
    proof = reduce(lambda a, b: a + b, (part.proof for part in parts))
    survival = together([part.survival for part in parts])
    stage = plan.curve_stage()
    seen = Evidence(
        probes=head.probes,
        classes=head.clean.classes,
        claims=tuple(checked),
        on=OnSubset.of(main),
        climbs=_climbs(main, saturated(head.probes)),
        families=frozenset(one.family for one in stages_of(plan, head) if not one.excluded),
        outcomes=tuple(main.outcomes),
        subset=main.subset,
        standing=main.standing,
        curve=curve,
        curve_family=None if stage is None else stage.family,
        undone=proof.undone,
        confirmed=proof.confirmed,
        again=proof.again,
        worst=worst,
        certified=plan.certified,
        proved=radius,
        receipt=receipt,
        draws=head.draws,
    )
    checks = run_checks(seen)
    clean = head.clean.accuracy
    tried = _tried(plan, head, main)
    bracket = _bracket(plan, certificate, main, seen)
    cost = {
        "clean": len(head.clean),
        "probes": head.probes.passes,
        "attacks": _passes(outcomes, LADDER),
        "claimed attacks": _passes(outcomes, CLAIMED),
        "receipt": _passes(outcomes, RECEIPT),
        "controls": _passes(outcomes, CONTROLS),
        "curve": 0 if curve is None else curve.passes,
        **({} if certificate is None else {"points of the proof": _passes(outcomes, SEARCH)}),
        "proof": proof.passes,
        "survival": sum(one.passes for one in survival),
    }
    severe = frozenset(doubt.code for doubt in checks.doubts if doubt.code in causes())
    facts = Facts(
        str(plan.threat),
        clean,
        main.robust,
        checked,
        checks.doubts,
        _alone(main),
        tried,
        checks.notes,
        access=head.model["access"],
        queries=cost["attacks"],
        spent=sum(cost.values()),
        bracket=bracket,
        settled=settled(seen, severe),
        deceived=deceived(seen),
        masks=bool(severe & HIDDEN) and masks(seen),
        surrogate=(plan.settings if head.settings is None else head.settings).get("surrogate"),
        draws=head.draws,
    )
    verdict = judge(facts)
    checks = checks.without(verdict.facts)
    strongest = main.strongest()
    return Report(
        verdict=verdict.text,
        status=verdict.status,
        cause=verdict.cause,
        clean=clean,
        robust=main.robust,
        success=Figure(clean.hits - main.robust.hits, clean.hits),
        strongest=None if strongest is None else (strongest.stage.title, strongest.alone(main.subset)),
        doubts=checks.doubts,
        claims=tuple(checked),
        attacks=tuple(one for one in main.outcomes if one.place[0] != RECEIPT or len(one.broke)),
        alone={one.stage.title: one.alone(main.subset) for one in main.outcomes if one.stage.full_on_subset},
        left_out=(*(plan.left_out if head.left_out is None else head.left_out), *_unneeded(plan, head, main)),
        matrix=main.matrix(),
        worst=replace(worst, doubts=checks.doubts),
        samples=samples(main, worst, proof, certificate),
        examples=gallery(main, worst, proof, pixels),
        curve=curve,
        probes=head.probes,
        confirmed=proof.confirmed,
        rounded=proof.undone,
        threat=plan.threat,
        suite=plan.suite.name,
        seed=plan.seed,
        settings=plan.settings if head.settings is None else head.settings,
        model=head.model,
        data=head.data,
        versions=versions(),
        cost=cost,
        seconds=head.seconds + sum(part.seconds for part in parts),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=plan.command(),
        start=Untargeted(head.clean.y).margin(head.clean.logits),
        subset=main.subset,
        survival=survival,
        receipt=receipt,
        no_receipt=None if receipt is not None else _no_receipt(plan, head, main),
        tried=tried,
        certified=_lower(plan, head, bracket),
        bracket=bracket,
        in_order=checks.in_order,
        headline=verdict.headline,
        evidence=verdict.evidence,
    )


def _no_receipt(plan: Plan, head: Prepared, main: Cascade) -> str:
    """Why no image was attacked again by the plain loop."""
    if plan.asked.receipt == "off":
        return "the receipt was switched off"
    if not plan.suite.receipt:
        return f"the suite {plan.suite.name} has no receipt"
    if head.draws:
        return "the model answers at random"
    if plan.surrogate is not None:
        return "the model is too expensive for searches in full"
    if not bool(main.standing.any()):
        return "nothing was left standing, so no image was given up"
    return "it would have cost more than a third of the attacks, which were over quickly"


def _replayed(plan: Plan, head: Prepared, parts: Sequence[ShardResult], radius: int) -> Cascade:
    """The cascade at a radius over all images, from what it did to each part of them."""
    whole = Cascade(plan.at(plan.radii()[radius]), head.clean, head.subset, plan.seed, plan.batch_size)
    here = [(part.first, one) for part in parts for one in part.outcomes[radius]]
    for place in sorted({one.place for _, one in here}):
        alike = [(first, one) for first, one in here if one.place == place]
        rows = torch.cat([one.rows + first for first, one in alike])
        moved = [one.moved for _, one in alike if one.moved is not None]
        result = concat([one.result for _, one in alike])
        path = joined([one.path.shifted(first) for first, one in alike if one.path is not None])
        whole.add(alike[0][1].stage, rows, result, place, torch.cat(moved) if moved else None, path)
    return whole


def _certificate(parts: Sequence[ShardResult]) -> Certificate | None:
    """What is proved of all images."""
    found = [part.certificate for part in parts if part.certificate is not None]
    return reduce(lambda a, b: a + b, found) if found else None


def _bracket(plan: Plan, certificate: Certificate | None, main: Cascade, seen: Evidence) -> Bracket | None:
    """Both sides of the robust accuracy."""
    if certificate is None:
        return None
    count = Figure(int(certificate.certified.sum()), len(certificate.certified))
    broken = int(refuted(seen, certificate.radius).sum())
    return Bracket(
        certificate.method, count, main.robust, str(plan.threat), plan.radii()[0], broken, certificate.seconds
    )


def _lower(plan: Plan, head: Prepared, bracket: Bracket | None) -> Figure | None:
    """The lower bound: proved here, else by the radii that somebody gave."""
    if bracket is not None:
        return bracket.proved
    return None if plan.certified is None else proved(plan.certified, head.clean.correct, plan.radii()[0])


def _trials(parts: Sequence[ShardResult]) -> Trials | None:
    """The attacks behind the curve, on all of its images."""
    found = [part.trials for part in parts if part.trials is not None]
    if not found:
        return None
    results = tuple(concat(list(at_eps)) for at_eps in zip(*(one.results for one in found), strict=True))
    rows = torch.cat([part.trials.rows + part.first for part in parts if part.trials is not None])
    return replace(found[0], rows=rows, results=results)


def _compare(plan: Plan, cascade: Cascade) -> Iterator[Checked]:
    """Each claim at the cascade's eps beside the truth."""
    eps, correct = cascade.threat.eps, cascade.clean.correct
    assert eps is not None
    rerun = iter(one for one in cascade.outcomes if one.place[0] == CLAIMED)
    for claim in plan.claims_at(eps):
        if claim.attack is None:
            yield Checked(claim, eps, cascade.robust, _breaker(cascade, correct))
            continue
        outcome = next(rerun)
        result, moved = outcome.result, outcome.moved
        assert moved is not None
        yield Checked(
            claim,
            eps,
            cascade.robust,
            _breaker(cascade, ~result.success),
            Figure(int((~result.success).sum()), len(result)),
            float(moved[correct].double().mean()) if claim.keep == "last" else None,
            _single_step(cascade),
        )


def _breaker(cascade: Cascade, among: torch.Tensor) -> str | None:
    """The stage that broke most of the images `among` [N] bool; claimed attacks and noise aside."""
    counts = {
        outcome.stage.title: int((cascade.broken_by[among] == k).sum())
        for k, outcome in enumerate(cascade.outcomes)
        if not outcome.stage.excluded and outcome.stage.family != "noise"
    }
    best = max(counts, key=lambda title: counts[title], default=None)
    return best if best is not None and counts[best] else None


def _alone(cascade: Cascade) -> list[Alone]:
    apart = ("noise", "adaptive", "transfer")
    return [
        Alone(
            one.stage.title,
            one.alone(cascade.subset),
            "scores" if one.stage.family == "query" else ("cross-entropy" if one.stage.saturating_loss else "logits"),
        )
        for one in cascade.outcomes
        if one.stage.full_on_subset and one.stage.family not in apart
    ]


def _climbs(main: Cascade, blind: bool) -> tuple[tuple[str, torch.Tensor], ...]:
    """What each iterative attack broke on the sanity subset. `blind`: the cross-entropy is saturated, its attacks are
    known to fail."""
    found = []
    for one in main.outcomes:
        stage = one.stage
        if stage.family == "iterative" and stage.full_on_subset and not (blind and stage.saturating_loss):
            broken = torch.zeros(len(main.clean), dtype=torch.bool)
            broken[one.rows[one.result.success]] = True
            found.append((stage.title, broken[main.subset]))
    return tuple(found)


def _single_step(cascade: Cascade) -> float | None:
    """What one blind step leaves, of all images, going by the sanity subset; None where none ran."""
    left = [
        one.alone(cascade.subset).value
        for one in cascade.outcomes
        if one.stage.full_on_subset and _plain_step(one.stage)
    ]
    return min(left) * cascade.clean.accuracy.value if left and len(cascade.subset) else None


def _plain_step(stage: Stage) -> bool:
    return stage.family == "single-step" and stage.saturating_loss


def _tried(plan: Plan, head: Prepared, main: Cascade) -> tuple[Tried, ...]:
    """Each remedy on the sanity subset, beside the attacks of the suite that the sign deceives."""
    found = []
    for remedy in remedies_for(plan, head):
        saturating = True if remedy.code == "loss-saturation" else None  # the others climb the logits anyway
        copies = 1 if remedy.code == "random-outputs" else None  # suites may average, too
        oblivious = main.broken_on_subset("single-step", "iterative", saturating_loss=saturating, copies=copies)
        seen = [one for one in main.outcomes if one.stage in remedy.stages and one.stage.full_on_subset]
        if seen and oblivious is not None:
            standing = min((one.alone(main.subset) for one in seen), key=lambda figure: figure.hits)
            before = Figure(int((~oblivious).sum()), len(oblivious))
            found.append(Tried(remedy.code, remedy.what, before, standing))
    return tuple(found)


def _unneeded(plan: Plan, head: Prepared, main: Cascade) -> list[str]:
    """Stages that found nothing to do anywhere."""
    ran = {one.place for one in main.outcomes}
    ladder = enumerate(stages_of(plan, head))
    return [f"{stage.title}: nothing was left standing" for k, stage in ladder if (LADDER, k) not in ran]


def _passes(outcomes: Sequence[Sequence[Outcome]], kind: int) -> int:
    """Forward plus backward passes of all stages of a kind, at all radii."""
    return sum(one.queries + one.gradients for each in outcomes for one in each if one.place[0] == kind)
