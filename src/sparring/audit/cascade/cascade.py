"""The cascade: one attack after the other, each on the images that still stand; the worst of all counts, per image.

Some images, the sanity subset, are shown to most attacks in full, also after they are broken: only so can attacks
be compared with each other. One run serves both purposes, as a result never depends on who else is in the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from sparring.audit.cascade.decide import decided
from sparring.audit.cascade.majority_vote import keep_for
from sparring.audit.cascade.margin_progress import Headway
from sparring.audit.cascade.outcome import CLAIMED, LADDER, STANDING, WRONG, Outcome, Place
from sparring.audit.cascade.precision import Lowered, confirmed
from sparring.audit.cascade.progress import Clock, Tell
from sparring.audit.cascade.trace_summary import Path, Walk
from sparring.audit.cascade.wrappers import COMPANY, on_surrogate, subject
from sparring.audit.inputs.clean import Clean
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.stage import Family, Stage
from sparring.batches import run_batches
from sparring.budget import Budget
from sparring.model import Model
from sparring.referee import Keep
from sparring.result import PER_SAMPLE, Result, concat
from sparring.seeds import torch_seed
from sparring.threat import Threat, Untargeted, eps_text

SPARED = 100
"queries of an attack without gradients on an image that is broken already: there it only shows what it does alone"


@dataclass
class Cascade:
    """The state of play.

    Attributes:
        threat: what is allowed. clean: the images.
        subset: [s] numbers of the images that all stages get which are `full_on_subset`.
        broken_by: [N] number of the outcome that broke it first, or STANDING, or WRONG.
        outcomes: what the stages did, in order; none where a stage found nothing to do.
        draws: fresh looks that decide success, for models that answer at random; 0 = the search's own look does.
    """

    threat: Threat
    clean: Clean
    subset: Tensor
    seed: int
    batch_size: int
    draws: int = 0
    broken_by: Tensor = field(init=False)
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broken_by = torch.where(self.clean.correct, STANDING, WRONG)

    @property
    def standing(self) -> Tensor:
        """[N] bool."""
        return self.broken_by == STANDING

    @property
    def robust(self) -> Figure:
        """Images that nothing has broken, of all."""
        return Figure(int(self.standing.sum()), len(self.clean))

    def run(self, model: Model, stages: Sequence[Stage], clock: Clock) -> Cascade:
        """All stages, in order."""
        headway = Headway(Untargeted(self.clean.y).margin(self.clean.logits))
        for number, stage in enumerate(stages):
            at = self.rows_of(stage, headway)
            whole = len(at)
            if stage.family == "query":
                at = torch.cat([at[self.standing[at]], at[~self.standing[at]]])
                whole = int(self.standing[at].sum())
            clock.start(len(at), self.robust.hits)
            if len(at):
                walk = Walk(at, self.subset) if stage.full_on_subset else None
                result = self._attack(model, stage, at, clock, walk=walk, whole=whole)
                path = None if walk is None else walk.path()
                order = at.argsort()
                at, result = at[order], chosen(result, order)
                self.add(stage, at, result, (LADDER, number), path=None if path is None else path.in_order())
                headway.note(stage, at, result)
        return self

    def rows_of(self, stage: Stage, headway: Headway) -> Tensor:
        """[r] numbers of the images that a stage is run on next, in order."""
        rows = self.standing & headway.admits(stage)
        if stage.full_on_subset:
            rows[self.subset] = True
        elif stage.subset_only:
            rows &= torch.isin(torch.arange(len(rows)), self.subset)
        return rows.nonzero().squeeze(1)

    def run_claimed(self, model: Model, stage: Stage, keep: Keep, clock: Clock, number: int = 0) -> Outcome:
        """An attack as somebody else ran it: on all images. `number`: of the claim."""
        at = torch.arange(len(self.clean))
        clock.start(len(at), self.robust.hits)
        result = self._attack(model, stage, at, clock, keep)
        moved = self.threat.norm.size(result.x_adv - self.clean.x) > 0
        self.add(stage, at, result, (CLAIMED, number), moved)
        return self.outcomes[-1]

    def add(
        self,
        stage: Stage,
        rows: Tensor,
        result: Result,
        place: Place,
        moved: Tensor | None = None,
        path: Path | None = None,
    ) -> None:
        """Take the result of a stage on `rows` into account."""
        before = self.standing
        new = result.success & before[rows]
        self.broken_by[rows[new]] = len(self.outcomes)
        tried = int(before[rows].sum())
        self.outcomes.append(Outcome(stage, rows, result, tried, rows[new], self.robust, place, moved, path))

    def learn(self, stage: Stage, rows: Tensor, result: Result, place: Place) -> None:
        """Count what another attack found on the way, at this eps or a smaller one, if it broke an unbroken image.

        Only for these images: what is said of an image must not depend on which others are in its shard.
        """
        eps = result.threat.eps
        assert eps is not None
        assert self.threat.eps is not None
        new = result.success & self.standing[rows]
        if eps <= self.threat.eps and bool(new.any()):
            title = f"{stage.title} at eps {eps_text(eps)}"
            tried = int(self.standing[rows].sum())
            self.add(
                replace(stage, title=title, full_on_subset=False, excluded=True), rows[new], chosen(result, new), place
            )
            self.outcomes[-1] = replace(self.outcomes[-1], tried=tried)

    def _attack(
        self,
        model: Model,
        stage: Stage,
        at: Tensor,
        clock: Clock,
        keep: Keep = "best",
        walk: Walk | None = None,
        whole: int | None = None,
    ) -> Result:
        """A stage on the images `at` [r] (numbers); on those after the first `whole` with `SPARED` queries."""
        standing, fallen = self.standing[at], 0

        def tell(done: int, part: Result) -> None:
            nonlocal fallen
            fallen += int((part.success & standing[done - len(part) : done]).sum())
            clock.tell(done, self.robust.hits - fallen)
            if walk is not None:
                walk.note(done, part)

        x, y = self.clean.x[at], self.clean.y[at]
        attack = stage.attack()
        seen = subject(model, stage.wrapper, self.clean.x if stage.wrapper == COMPANY else x)

        def search(
            looked_at: Model, rows: Tensor, told: Callable[[int, Result], None] | None, budget: Budget | None = None
        ) -> Result:
            return run_batches(
                attack,
                looked_at,
                (x[rows], y[rows]),
                self.threat,
                batch_size=self.batch_size,
                seed=self.seed,
                budget=budget,
                keep=keep_for(attack) if self.draws or on_surrogate(stage) else keep,
                trace=walk is not None and walk.wanted and told is not None,
                progress=told,
            )

        everyone, first = torch.arange(len(at)), len(at) if whole is None else whole
        if first < len(at):
            after = search(seen, everyone[first:], lambda done, part: tell(first + done, part), Budget(queries=SPARED))
            after = replace(after, doubts=tuple(doubt for doubt in after.doubts if doubt.code != "budget-spent"))
            result = concat([search(seen, everyone[:first], tell), after]) if first else after
        else:
            result = search(Lowered(seen) if stage.precision else seen, everyone, tell)
            if stage.precision and not self.draws:
                return confirmed(seen, result, y, self.batch_size, lambda rows: search(seen, rows, None))
        cheap = on_surrogate(stage)
        return decided(
            seen if stage.wrapper == COMPANY else model,
            result,
            x,
            y,
            draws=self.draws,
            seed=self.seed,
            batch_size=self.batch_size,
            elsewhere=cheap or stage.wrapper.startswith("inner:"),
            screened=cheap,
        )

    # --- what came out ----------------------------------------------------------------------------------------

    def worst(self, model: Model) -> Result:
        """The worst case of each image over all attacks: the smallest success, else the point nearest to one."""
        x, n = self.clean.x, len(self.clean)
        threat = self.threat.within(model.box)
        margin = Untargeted(self.clean.y).margin(self.clean.logits).double()
        wrong = ~self.clean.correct
        best = Result(
            x_adv=x.clone(),
            success=wrong.clone(),
            distance=torch.where(wrong, 0.0, torch.inf).double(),
            margin=margin,
            clean_correct=~wrong,
            queries=torch.ones(n, dtype=torch.int64),
            gradients=torch.zeros(n, dtype=torch.int64),
            first_hit=torch.where(wrong, 1, -1),
            threat=threat,
            attack=" + ".join(outcome.stage.spec for outcome in self.outcomes),
            seed=self.seed,
            seconds=sum(outcome.result.seconds for outcome in self.outcomes),
        )
        for outcome in self.outcomes:
            rows, result = outcome.rows, outcome.result
            closer = (result.distance < best.distance[rows]) | (
                ~result.success & ~best.success[rows] & (result.margin > best.margin[rows])
            )
            at = rows[closer]
            for name in ("x_adv", "success", "distance", "margin"):
                value = getattr(result, name)[closer]
                getattr(best, name)[at] = value.to(getattr(best, name).dtype)
            new = (best.first_hit[rows] < 0) & (result.first_hit >= 0)
            best.first_hit[rows[new]] = best.queries[rows[new]] + result.first_hit[new]
            best.queries[rows] += result.queries
            best.gradients[rows] += result.gradients
        return best

    def broken_on_subset(
        self, *families: Family, saturating_loss: bool | None = None, copies: int | None = None
    ) -> Tensor | None:
        """[s] bool: images of the sanity subset that any stage of these families broke; None if there is no such.

        `saturating_loss`, `copies`: only stages that are so.
        """
        alike = [
            outcome
            for outcome in self.outcomes
            if outcome.stage.family in families
            and not outcome.stage.excluded
            and saturating_loss in (None, outcome.stage.saturating_loss)
            and (copies is None or outcome.stage.copies == copies)
        ]
        if not alike:
            return None
        broken = torch.zeros(len(self.clean), dtype=torch.bool)
        for outcome in alike:
            broken[outcome.rows[outcome.result.success]] = True
        return broken[self.subset]

    def matrix(self) -> dict[str, dict[str, int]]:
        """Images of the subset that the attack of the row breaks and the attack of the column does not."""
        broken = {}
        for outcome in self.outcomes:
            if outcome.stage.full_on_subset:
                flags = torch.zeros(len(self.clean), dtype=torch.bool)
                flags[outcome.rows] = outcome.result.success
                broken[outcome.stage.title] = flags[self.subset]
        return {a: {b: int((ours & ~theirs).sum()) for b, theirs in broken.items()} for a, ours in broken.items()}

    def strongest(self) -> Outcome | None:
        """The stage after which least stood on the subset when it was alone; None if none was seen in full."""
        seen = [one for one in self.outcomes if one.stage.full_on_subset and one.stage.family != "noise"]
        return min(seen, key=lambda outcome: outcome.alone(self.subset).hits, default=None)


def watched(clock: Clock | None, cascade: Cascade, of: int) -> AbstractContextManager[Tell]:
    """Report a receipt or a control, of so many pieces of work, to the clock, if there is one."""
    return nullcontext() if clock is None else clock.control(of, lambda: cascade.robust.hits)


def subset_of(clean: Clean, size: int, seed: int = 0, sha256: str = "") -> Tensor:
    """[s] numbers of `size` images that the model gets right, in order, drawn at random from all of them.

    The draw is keyed by the seed and the data's SHA-256: nothing in the order of the images tells which they will be.
    """
    right = clean.correct.nonzero().squeeze(1)
    return right[shuffled(len(right), seed, sha256)[:size]].sort().values


def shuffled(n: int, seed: int, sha256: str = "") -> Tensor:
    """[n] the numbers 0 to n - 1 in an order keyed by the seed and the data's SHA-256."""
    key = torch_seed(seed ^ int(sha256[:12] or "0", 16))
    return torch.randperm(n, generator=torch.Generator().manual_seed(key))


def chosen(result: Result, rows: Tensor) -> Result:
    """The result for some of its samples, [r] numbers or bool."""
    return replace(result, **{name: getattr(result, name)[rows] for name in PER_SAMPLE}, trace=None)
