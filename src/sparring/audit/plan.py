"""The plan of an audit, carried out: probe, attack, check, judge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch

from sparring.audit import checks
from sparring.audit.cascade import Cascade, Outcome, subset_of
from sparring.audit.claims import Checked, Claim, claim_doubts
from sparring.audit.clean import Clean
from sparring.audit.curve import Curve, Trials, attack_all, draw
from sparring.audit.doubts import SEVERE
from sparring.audit.intervals import Figure
from sparring.audit.probes import Probes, probe
from sparring.audit.progress import Callback, Clock
from sparring.audit.proof import gallery, prove, samples
from sparring.audit.provenance import about_data, about_model, versions
from sparring.audit.report import Report
from sparring.audit.suites import Stage, Suite
from sparring.audit.survival import survive
from sparring.audit.verdict import Alone, Facts, judge
from sparring.model import Model
from sparring.result import Doubt
from sparring.threat import Threat


@dataclass(frozen=True)
class Plan:
    """What is to be done; `audit` has checked that it can be."""

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
        """All of it, in order. `training`, `left_out`, `settings`: for the report."""
        model, clean, threat = self.model, self.clean, self.threat
        subset = subset_of(clean, self.suite.subset)
        curve_stage = self.suite.curve(model, threat)
        clock = Clock(self._timetable(curve_stage), len(clean), progress)
        probes = probe(model, clean, subset, threat, self.seed, self.batch_size, training)
        cascades, checked, again = {}, [], 0
        for eps in self._radii():
            cascade = Cascade(replace(threat, eps=eps), clean, subset, self.seed, self.batch_size)
            rerun = [
                cascade.run_claimed(model, as_claimed(claim), claim.keep, clock)
                for claim in self._claims_at(eps, named=True)
            ]
            again += sum(one.queries + one.gradients for one in rerun)
            cascades[eps] = cascade.run(model, self.stages, clock)
            checked += list(self._compare(cascade, rerun))
        checked += [Checked(claim, 0.0, clean.accuracy) for claim in self.claims if claim.clean]
        assert threat.eps is not None
        main = cascades[threat.eps]
        attacks = sum(one.queries + one.gradients for cascade in cascades.values() for one in cascade.outcomes)
        for cascade in cascades.values():
            for one in cascade.outcomes:
                main.learn(one.stage, one.rows, one.result)
        trials = self._trials(curve_stage, main.robust.hits, clock)
        if trials is not None:
            for result in trials.results:
                main.learn(trials.stage, torch.arange(trials.n), result)
        worst = main.worst(model)
        curve = None if trials is None else draw(trials, clean, worst)
        proof = prove(model, clean, worst, self.batch_size)
        survival = survive(model, clean, worst, self.batch_size)
        doubts = self._doubts(main, probes, curve, curve_stage, checked, proof.undone)
        verdict = judge(Facts(str(threat), clean.accuracy, main.robust, checked, doubts, _alone(main)))
        strongest = main.strongest()
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
            confirmed=proof.confirmed,
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
                "survival": sum(one.passes for one in survival),
            },
            seconds=clock.seconds,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            command=self._command(),
            survival=survival,
        )

    def _trials(self, stage: Stage | None, standing: int, clock: Clock) -> Trials | None:
        if stage is None:
            return None
        return attack_all(
            self.model,
            self.clean,
            self.threat,
            stage,
            self.suite.subset,
            seed=self.seed,
            batch_size=self.batch_size,
            standing=standing,
            clock=clock,
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
            todo = [*(as_claimed(claim) for claim in self._claims_at(eps, named=True)), *self.stages]
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
                float(moved.double().mean()) if claim.keep == "last" else None,
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
            found += checks.monotone([point.raw for point in curve.points], [point.eps for point in curve.points])
            found += checks.unbounded(large, curve.whole_box, self.clean.classes, curve.large)
        rank = {code: k for k, code in enumerate(SEVERE)}
        return tuple(sorted(found, key=lambda doubt: rank.get(doubt.code, len(rank))))

    def _command(self) -> str:
        claims = f", claims={[claim.spec for claim in self.claims]}" if self.claims else ""
        threat = f'sp.Threat("{self.threat.norm}", eps={self.threat.eps:.6g})'
        return f'sp.audit(model, data, {threat}, suite="{self.suite.name}"{claims}, seed={self.seed})'


def as_claimed(claim: Claim) -> Stage:
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
