"""What is doubtful about an audit, from all that it has seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.curve import Curve
from sparring.audit.checks import comparisons as checks
from sparring.audit.checks.convergence import averaged_enough, converged
from sparring.audit.checks.doubts import SEVERE
from sparring.audit.checks.signs import of_probes
from sparring.audit.inputs.claims import Checked, claim_doubts
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Head
from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt


@dataclass(frozen=True)
class Evidence:
    """All that doubts are drawn from."""

    plan: Plan
    head: Head
    main: Cascade
    claims: tuple[Checked, ...]
    curve: Curve | None
    undone: Figure
    confirmed: Figure

    def doubts(self) -> tuple[Doubt, ...]:
        """Everything that is doubtful, severe signs first."""
        rank = {code: k for k, code in enumerate(SEVERE)}
        return tuple(sorted(self._found(), key=lambda doubt: rank.get(doubt.code, len(rank))))

    def _found(self) -> Iterator[Doubt]:
        main, probes, classes = self.main, self.head.probes, self.head.clean.classes
        on = checks.OnSubset(
            single=main.broken_on_subset("single-step", blind=True),
            climbing=main.broken_on_subset("iterative", blind=True),
            gradient=main.broken_on_subset("single-step", "iterative"),
            query=main.broken_on_subset("query"),
            noise=main.broken_on_subset("noise"),
            transfer=main.broken_on_subset("transfer"),
        )
        yield from claim_doubts(self.claims)
        yield from of_probes(probes, classes)
        yield from checks.comparisons(on)
        yield from checks.diversity({stage.family for stage in self.plan.ladder(self.head) if not stage.claimed})
        yield from checks.rounding(self.undone)
        yield from checks.reproduced(self.confirmed)
        yield from converged(main.outcomes, main.subset, main.standing)
        yield from averaged_enough(main.outcomes, main.subset)
        yield from checks.reported(outcome.result for outcome in main.outcomes)
        curve, stage = self.curve, self.plan.curve_stage()
        if curve is not None and stage is not None and stage.family != "single-step":
            yield from checks.monotone([point.raw for point in curve.points], [point.eps for point in curve.points])
            yield from checks.unbounded(curve.points[-1].envelope, curve.whole_box, classes, curve.large)
