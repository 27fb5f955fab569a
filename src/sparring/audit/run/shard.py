"""One shard of an audit: every attack on its images, the worst point of each, and the proof that it fools.

A pure function of the plan, the head and the shard's number: who computes it, when and how often changes nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.audit.cascade.adaptive import misleading
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.certificate import SEARCH, Certificate, prove_rest
from sparring.audit.cascade.coded import run_coded
from sparring.audit.cascade.controls import (
    CONTROLS,
    allowance,
    missed_by_gradients,
    needed,
    passes_of,
    run_longer,
    run_second_look,
    run_transfer,
)
from sparring.audit.cascade.curve import Trials, attack_all, outcome_of
from sparring.audit.cascade.latent import run_codes
from sparring.audit.cascade.outcome import CURVE, ELSEWHERE, Outcome
from sparring.audit.cascade.progress import Clock
from sparring.audit.cascade.proof import Proof, prove
from sparring.audit.cascade.receipt import RECEIPT, affordable, lots, run_plainly
from sparring.audit.cascade.refusals import run_within_answers
from sparring.audit.cascade.survival import Survival, survive
from sparring.audit.cascade.wrappers import SURROGATE, on_surrogate, subject
from sparring.audit.checks.run import early_doubts
from sparring.audit.inputs.clean import Clean, data_sha256
from sparring.audit.probes.probe import Probes
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared
from sparring.audit.run.schedule import first_look, past_what_hides, stages_of, suite_stages
from sparring.audit.suites.stage import Stage
from sparring.errors import InputError
from sparring.result import Result
from sparring.rng import digest

Outcomes = tuple[tuple[Outcome, ...], ...]
"""What each stage did, by radius."""


@dataclass(frozen=True)
class ShardResult:
    """What came of one shard of n images, numbered from 0 within it.

    Attributes:
        first: number of its first image in the whole. outcomes: what each stage did, by radius, without the points.
        worst: by radius, the worst case of each image, with the points.
        trials: the attacks behind the curve, without the points; None where none of its images is in the sanity subset.
        certificate: what is proved of its images; None = nobody asked.
        proof, survival: of the worst points at the audited radius. keys: [n] names of the clean images, see `digest`.
        seconds: that it took.
    """

    first: int
    outcomes: Outcomes
    worst: tuple[Result, ...]
    trials: Trials | None
    proof: Proof
    survival: tuple[Survival, ...]
    keys: Tensor
    seconds: float
    certificate: Certificate | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def standing(self) -> int:
        """Images that nothing has broken, at the audited radius."""
        return int((~self.worst[0].success).sum())

    def light(self) -> ShardResult:
        """Without the worst points."""
        return replace(self, worst=tuple(light(one) for one in self.worst))


def attack_shard(plan: Plan, head: Prepared, number: int, clock: Clock) -> ShardResult:
    """All that is to be done with a shard.

    Raises:
        InputError: its images are not those that the head has seen.
    """
    began = time.perf_counter()
    plan = plan.as_seen(head.probes)
    plan = plan if plan.model.fits is None else plan.in_batches_of(min(plan.batch_size, plan.model.fits))
    clean, subset = images_of(plan, head, number)
    cascades = []
    for eps in plan.radii():
        cascade = Cascade(plan.at(eps), clean, subset, plan.seed, plan.batch_size, head.draws)
        for k, claim in enumerate(plan.claims_at(eps, named=True)):
            cascade.run_claimed(plan.model, claim.stage, claim.keep, clock, k)
        cascades.append(cascade.run(plan.model, stages_of(plan, head), clock))
    run_codes(cascades[0], plan.model)
    run_coded(cascades[0], plan.model, head.probes.levels)
    run_within_answers(cascades[0], plan.model)
    clock.over()
    _look_again(plan, head, number, cascades[0], subset, clock)
    outcomes = tuple(tuple(cascade.outcomes) for cascade in cascades)
    trials = _trials(plan, head, cascades[0], subset, clock)
    learn_all(cascades[0], outcomes, trials)
    certificate, outcomes = _proved(plan, cascades[0], outcomes, trials, clock)
    worst = tuple(cascade.worst(plan.model) for cascade in cascades)
    return ShardResult(
        plan.span(number).start,
        tuple(tuple(replace(one, result=light(one.result)) for one in each) for each in outcomes),
        worst,
        None if trials is None else replace(trials, results=tuple(light(one) for one in trials.results)),
        prove(plan.model, clean, worst[0], plan.batch_size, steady(head.probes)),
        survive(plan.model, clean, worst[0], plan.batch_size),
        digest(clean.x),
        time.perf_counter() - began,
        certificate,
    )


def _look_again(plan: Plan, head: Prepared, number: int, cascade: Cascade, subset: Tensor, clock: Clock) -> None:
    """Receipt and controls, within what they may cost together."""
    allowed, classes = allowance(cascade), head.clean.classes
    if plan.receipt(head.draws) and bool(cascade.standing.any()):  # else no image was given up
        spare = allowed - min(allowed // 2, needed(cascade, plan.stages, subset, plan.suite.longer))
        rows = inside(lots(head.clean, plan.seed), plan.span(number))
        run_plainly(cascade, plan.model, plan.stages, affordable(plan.stages, rows, classes, spare, plan.seed), clock)
    if plan.suite.transfer:
        signs = {doubt.code for doubt in early_doubts(head.probes, classes)}
        unbroken = cascade.standing.nonzero().squeeze(1) if misleading(signs, head.probes) else subset[:0]
        both: Tensor = torch.cat([missed_by_gradients(cascade, subset), unbroken]).unique()  # type: ignore[no-untyped-call]
        run_transfer(cascade, plan.model, both, clock)
    past = past_what_hides(plan, head)
    past = "" if head.draws and not past.startswith(SURROGATE) else past
    run_second_look(cascade, plan.model, subset, allowed - passes_of(cascade, RECEIPT, CONTROLS), clock, past)
    if plan.suite.longer:
        left = allowed - passes_of(cascade, RECEIPT, CONTROLS)
        run_longer(cascade, plan.model, suite_stages(plan), subset, left, clock)


def images_of(plan: Plan, head: Prepared, number: int) -> tuple[Clean, Tensor]:
    """The images of a shard with the model's clean answers, and which of them are in the sanity subset.

    Raises:
        InputError: they are not those that the head has seen.
    """
    span = plan.span(number)
    x = plan.model.accept(plan.source.part(span.start, span.stop)[0]).cpu()
    clean = replace(head.clean, x=x, y=head.clean.y[span], logits=head.clean.logits[span])
    if data_sha256(x, clean.y) != head.parts[number]:
        raise InputError(
            f"the images {span.start} to {span.stop - 1} of {plan.source.name} are not those that this run began with; "
            "give it the same data, or begin a new run in another folder"
        )
    return clean, inside(head.subset, span)


def steady(probes: Probes) -> bool:
    """The model must give the same answers at the end: it neither draws nor sees who is beside, and gives scores."""
    crowded = probes.conduct is not None and bool(probes.conduct.crowded) and not probes.alone
    return not (probes.random or crowded) and probes.flat_ce is not None


def inside(numbers: Tensor, span: slice) -> Tensor:
    """Those of the image `numbers` that are in a shard, counted from its first image."""
    here: Tensor = numbers[(numbers >= span.start) & (numbers < span.stop)] - span.start
    return here


def curve_stage_of(plan: Plan, head: Prepared) -> Stage | None:
    """The attack that draws the curve, past what hides gradients: along hidden ones it would show nothing."""
    stage = plan.curve_stage()
    if stage is None:
        return None
    past = "" if stage.family == "query" else past_what_hides(plan, head)
    return replace(stage, wrapper=past or first_look(plan.model))


def _trials(plan: Plan, head: Prepared, cascade: Cascade, rows: Tensor, clock: Clock) -> Trials | None:
    """The attacks behind the curve on the images `rows` (numbers) of this shard: its part of the sanity subset."""
    stage = curve_stage_of(plan, head)
    if stage is None or not len(rows):
        return None
    known = {
        "seed": plan.seed,
        "batch_size": plan.batch_size,
        "standing": cascade.robust.hits,
        "clock": clock,
        "draws": head.draws,
    }
    seen = subject(plan.model, stage.wrapper, cascade.clean.x)
    done = outcome_of(cascade, stage, stage.wrapper, rows)
    judge = plan.model if on_surrogate(stage) else None
    return attack_all(
        seen,
        cascade.clean,
        plan.threat,
        stage,
        rows,
        known=done,
        judge=judge,
        **known,  # type: ignore[arg-type]
    )


def _proved(
    plan: Plan, main: Cascade, outcomes: Outcomes, trials: Trials | None, clock: Clock
) -> tuple[Certificate | None, Outcomes]:
    """The proof of what stands at the audited radius, and the outcomes with what the search for it broke."""
    if plan.prover is None:
        return None, outcomes
    standing = main.robust.hits
    clock.start(standing, standing)
    grid = () if trials is None else trials.grid
    certificate = prove_rest(main, plan.model, plan.prover, grid, main.subset)
    clock.tell(standing, main.robust.hits)
    searched = tuple(one for one in main.outcomes if one.place[0] == SEARCH)
    return certificate, ((*outcomes[0], *searched), *outcomes[1:])


def learn_all(main: Cascade, outcomes: Outcomes, trials: Trials | None) -> None:
    """Let the audited radius profit from whatever was found for another purpose: by claims elsewhere, by the curve."""
    for k, each in enumerate(outcomes[1:], 1):
        for one in each:
            main.learn(one.stage, one.rows, one.result, (ELSEWHERE, k, *one.place))
    if trials is not None:
        for k, result in enumerate(trials.results):
            main.learn(trials.stage, trials.rows, result, (CURVE, k))


def light(result: Result) -> Result:
    """The result without its points: `x_adv` is [N, 0]."""
    return replace(result, x_adv=result.x_adv.new_zeros(len(result), 0), trace=None)
