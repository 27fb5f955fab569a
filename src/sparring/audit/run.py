"""The audit, from the first look to the verdict."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from sparring.audit import checks
from sparring.audit.cascade import Cascade, Outcome, subset_of
from sparring.audit.claims import Checked, Claim, claim_doubts, parse_claim
from sparring.audit.clean import Clean, Data, look, refuse_chance
from sparring.audit.curve import Curve, draw, epsilons, raw
from sparring.audit.doubts import SEVERE
from sparring.audit.intervals import Figure
from sparring.audit.probes import Probes, probe, training_modules
from sparring.audit.progress import Callback, Clock
from sparring.audit.proof import gallery, prove, samples
from sparring.audit.provenance import about_data, about_model, versions
from sparring.audit.report import Report
from sparring.audit.suites import Stage, Suite, unfit
from sparring.audit.suites import suite as find_suite
from sparring.audit.verdict import Alone, Facts, judge
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.result import Doubt
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
    return plan.carry_out(progress, training, left_out, settings)


@dataclass(frozen=True)
class Plan:
    """What is to be done, checked."""

    model: Model
    clean: Clean
    threat: Threat
    suite: Suite
    stages: tuple[Stage, ...]
    claims: tuple[Claim, ...]
    seed: int
    batch_size: int

    def carry_out(
        self, progress: Callback | None, training: tuple[str, ...], left_out: tuple[str, ...], settings: dict[str, Any]
    ) -> Report:
        """Probe, attack, check, judge."""
        model, clean, threat = self.model, self.clean, self.threat
        subset = subset_of(clean, self.suite.subset)
        curve_stage = self.suite.curve(model, threat)
        clock = Clock(self._timetable(curve_stage), len(clean), progress)
        probes = probe(model, clean, subset, threat, self.seed, self.batch_size, training)
        cascades, checked, again = {}, [], 0
        for eps in self._radii():
            cascade = Cascade(replace(threat, eps=eps), clean, subset, self.seed, self.batch_size)
            rerun = [
                cascade.run_claimed(model, _as_claimed(claim), clock) for claim in self._claims_at(eps, named=True)
            ]
            again += sum(one.queries + one.gradients for one in rerun)
            cascades[eps] = cascade.run(model, self.stages, clock)
            checked += list(self._compare(cascade, rerun))
        checked += [Checked(claim, 0.0, clean.accuracy) for claim in self.claims if claim.clean]
        assert threat.eps is not None
        main = cascades[threat.eps]
        worst = main.worst(model)
        curve = None
        if curve_stage is not None:
            curve = draw(model, clean, threat, worst, curve_stage, self.suite.subset, self.seed, self.batch_size, clock)
        proof = prove(model, clean, worst, self.batch_size)
        doubts = self._doubts(main, probes, curve, curve_stage, checked, proof.undone)
        verdict = judge(Facts(str(threat), clean.accuracy, main.robust, checked, doubts, _alone(main)))
        strongest = main.strongest()
        attacks = sum(one.queries + one.gradients for cascade in cascades.values() for one in cascade.outcomes)
        return Report(
            verdict=verdict.sentence,
            status=verdict.status,
            cause=verdict.cause,
            clean=clean.accuracy,
            robust=main.robust,
            success=Figure(clean.accuracy.hits - main.robust.hits, clean.accuracy.hits),
            strongest=None if strongest is None else (strongest.stage.title, strongest.alone(subset)),
            doubts=doubts,
            claims=tuple(checked),
            attacks=tuple(main.outcomes),
            alone={one.stage.title: one.alone(subset) for one in main.outcomes if one.stage.seen},
            left_out=(*left_out, *main.unneeded),
            matrix=main.matrix(),
            worst=replace(worst, doubts=doubts),
            samples=samples(main, worst, proof),
            examples=gallery(main, worst, proof),
            curve=curve,
            probes=probes,
            rounded=proof.undone,
            threat=threat,
            suite=self.suite.name,
            seed=self.seed,
            settings=settings,
            model=about_model(model),
            data=about_data(clean),
            versions=versions(),
            cost={
                "clean": len(clean),
                "probes": probes.passes,
                "attacks": attacks - again,
                "claimed attacks": again,
                "curve": 0 if curve is None else curve.passes,
                "proof": proof.passes,
            },
            seconds=clock.seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self._command(),
        )

    def _radii(self) -> list[float]:
        """The audited eps, and any other that a claim is about: the truth there takes a cascade of its own."""
        assert self.threat.eps is not None
        others = {claim.eps for claim in self.claims if claim.eps} - {self.threat.eps}
        return [self.threat.eps, *sorted(eps for eps in others if eps is not None)]

    def _claims_at(self, eps: float, named: bool = False) -> list[Claim]:
        return [claim for claim in self.claims if claim.eps == eps and (claim.attack is not None or not named)]

    def _timetable(self, curve: Stage | None) -> list[tuple[str, int]]:
        """(title, most passes an image) of everything to come, in order."""
        classes = self.clean.classes
        table = []
        for eps in self._radii():
            where = "" if eps == self.threat.eps else f" at eps {eps:.4g}"
            todo = [*(_as_claimed(claim) for claim in self._claims_at(eps, named=True)), *self.stages]
            table += [(stage.title + where, stage.most_passes(classes)) for stage in todo]
        if curve is not None:
            table.append(("Security curve", curve.most_passes(classes)))
        return table

    def _compare(self, cascade: Cascade, rerun: list[Outcome]) -> Iterator[Checked]:
        """Each claim at the cascade's eps beside the truth."""
        eps, x, correct = cascade.threat.eps, self.clean.x, self.clean.correct
        assert eps is not None
        outcomes = iter(rerun)
        for claim in self._claims_at(eps):
            if claim.attack is None:
                yield Checked(claim, eps, cascade.robust, _breaker(cascade, correct))
                continue
            outcome = next(outcomes)
            result = outcome.result
            moved = self.threat.norm.size(result.x_adv - x)[correct] > 0
            yield Checked(
                claim,
                eps,
                cascade.robust,
                _breaker(cascade, ~result.success),
                Figure(int((~result.success).sum()), len(x)),
                float(moved.double().mean()),
            )

    def _doubts(
        self,
        main: Cascade,
        probes: Probes,
        curve: Curve | None,
        curve_stage: Stage | None,
        checked: Sequence[Checked],
        undone: Figure,
    ) -> tuple[Doubt, ...]:
        """Everything that is doubtful, severe signs first."""
        on = checks.OnSubset(
            single=main.broken_on_subset("single-step", blind=True),
            climbing=main.broken_on_subset("iterative", blind=True),
            gradient=main.broken_on_subset("single-step", "iterative"),
            query=main.broken_on_subset("query"),
            noise=main.broken_on_subset("noise"),
        )
        found = [
            *claim_doubts(checked),
            *checks.behaviour(probes, self.clean.classes),
            *checks.gradients(probes),
            *checks.budget_used(probes),
            *checks.comparisons(on),
            *checks.diversity({stage.family for stage in self.stages}),
            *checks.rounding(undone),
            *checks.reported(outcome.result for outcome in main.outcomes),
        ]
        if curve is not None and curve_stage is not None and curve_stage.family != "single-step":
            large = curve.points[-1].envelope
            whole_box = epsilons(self.threat, self.model, self.clean)[1]
            found += checks.monotone(*raw(curve))
            found += checks.unbounded(large, whole_box, self.clean.classes, curve.large)
        rank = {code: k for k, code in enumerate(SEVERE)}
        return tuple(sorted(found, key=lambda doubt: rank.get(doubt.code, len(rank))))

    def _command(self) -> str:
        claims = f", claims={[claim.spec for claim in self.claims]}" if self.claims else ""
        threat = f'sp.Threat("{self.threat.norm}", eps={self.threat.eps:.6g})'
        return f'sp.audit(model, data, {threat}, suite="{self.suite.name}"{claims}, seed={self.seed})'


def _settled(claim: Claim, threat: Threat, model: Model) -> Claim:
    """The claim with its eps, and its attack known to run here."""
    claim = claim if claim.eps is not None else replace(claim, eps=threat.eps)
    if claim.attack is not None and not claim.clean:
        reason = unfit(_as_claimed(claim), model, threat)
        if reason is not None:
            raise InputError(f"the claimed attack {claim.attack!r} cannot be run here: {reason}")
    return claim


def _as_claimed(claim: Claim) -> Stage:
    assert claim.attack is not None
    return Stage(f"{claim.title}, as claimed", claim.attack, "iterative", seen=False, claimed=True)


def _breaker(cascade: Cascade, among: torch.Tensor) -> str | None:
    """The stage that broke most of the images `among` [N] bool; claimed attacks and noise aside."""
    counts = {
        outcome.stage.title: int((cascade.broken_by[among] == k).sum())
        for k, outcome in enumerate(cascade.outcomes)
        if not outcome.stage.claimed and outcome.stage.family != "noise"
    }
    best = max(counts, key=lambda title: counts[title], default=None)
    return best if best is not None and counts[best] else None


def _alone(cascade: Cascade) -> list[Alone]:
    seen = [one for one in cascade.outcomes if one.stage.seen and one.stage.family != "noise"]
    return [
        Alone(
            one.stage.title,
            one.alone(cascade.subset),
            "scores" if one.stage.family == "query" else ("cross-entropy" if one.stage.blind else "logits"),
        )
        for one in seen
    ]
