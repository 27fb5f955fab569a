"""The referee of a bout: counts every pass, judges every point, keeps the best of each sample.

Attacks never see this; they talk to the `Bout`. All bookkeeping of the package is here, once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.budget import Budget, BudgetSpent
from sparring.result import Doubt, Result, Trace
from sparring.threat import Goal, Threat

UNLIMITED = Budget()
Keep = Literal["best", "margin", "last"]


class Referee:
    """The score of one attack call on N samples; `rows` [b] below are numbers of samples.

    Args:
        keep: "best" = the smallest success, and with a fixed eps a fooled sample leaves at once; "margin" = the
            success with the largest margin, nobody leaves; "last" = the last point that the attack hands over stays,
            as in most papers' algorithms, or, where it handed nothing over, the last that it looked at; nobody
            leaves. Samples that are wrong before any attack are never attacked, whatever `keep` is.
        beyond: points that fool outside the ball count for `nearest`, though never as a success: a search for the
            nearest point comes from there.
    """

    judges = True

    def __init__(
        self,
        ball: Ball,
        goal: Goal,
        threat: Threat,
        budget: Budget,
        keep: Keep,
        trace: bool,
        beyond: bool = False,
    ) -> None:
        x, n, device = ball.x, len(ball.x), ball.x.device
        self.ball, self.goal, self.threat, self.budget, self.keep = ball, goal, threat, budget, keep
        self.queries = torch.zeros(n, dtype=torch.int64, device=device)
        self.gradients = torch.zeros(n, dtype=torch.int64, device=device)
        self.first_hit = torch.full((n,), -1, dtype=torch.int64, device=device)
        self.best = x.clone()
        self.success = torch.zeros(n, dtype=torch.bool, device=device)
        self.over = torch.zeros(n, dtype=torch.bool, device=device)
        self.size = torch.full((n,), torch.inf, dtype=x.dtype, device=device)
        self.beyond = beyond and not ball.unbounded
        # The nearest point that fools so far, whatever is kept: searches go on from it.
        same = keep == "best" and not self.beyond
        self.near, self.near_size = (self.best, self.size) if same else (x.clone(), self.size.clone())
        self.submitted = torch.zeros(n, dtype=torch.bool, device=device)
        self.margin = torch.full((n,), -torch.inf, dtype=x.dtype, device=device)
        self.best_failure_margin = (
            self.margin.clone()
        )  # what the margin of a point that fools nobody must exceed to be kept
        self.correct = torch.zeros(n, dtype=torch.bool, device=device)
        self.prediction = torch.zeros(n, dtype=torch.int64, device=device)  # of the clean images
        self.flat = torch.zeros(n, dtype=torch.int64, device=device)  # gradients that were exactly zero
        self.cut = torch.zeros(n, dtype=torch.int64, device=device)  # those not there, as the graph is cut
        self.broken = torch.zeros(n, dtype=torch.bool, device=device)  # NaN or Inf seen on the way
        self.unpaid = torch.zeros(n, dtype=torch.bool, device=device)
        self.least = torch.zeros_like(self.size)  # no success is nearer, where an exact search says so
        self.unproved = torch.zeros_like(self.unpaid)  # such a search could not tell the nearest
        self.logits: Tensor | None = None  # of the clean images
        self.records: list[tuple[Tensor, Tensor, Tensor]] | None = [] if trace else None
        self.started = time.perf_counter()

    def __len__(self) -> int:
        """Samples of the whole call."""
        return len(self.over)

    # --- answering: all that a bout may know ------------------------------------------------------------------

    @property
    def early_exit(self) -> bool:
        """Only the best point of each sample is kept: who can find nothing better may leave."""
        return self.keep == "best"

    def clean_logits(self, ask: Callable[[Tensor], Tensor]) -> Tensor:
        """[N, K] logits of the clean images; asked for once, at one query each, if nobody has seen them so far."""
        if self.logits is None:
            self.queries += 1
            self.logits = self.goal.read(ask(self.ball.x))
        return self.logits

    def clean_prediction(self, rows: Tensor) -> Tensor:
        """[b] classes of the clean images."""
        return self.prediction[rows]

    def is_over(self, rows: Tensor) -> Tensor:
        """bool [b]: nothing is left to do for the sample."""
        return self.over if len(rows) == len(self.over) else self.over[rows]

    def nearest(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Points [b, ...] and sizes [b] of the nearest that fool so far; infinite sizes where there is none."""
        return self.near[rows], self.nearest_size(rows)

    def nearest_size(self, rows: Tensor) -> Tensor:
        """[b] sizes of the nearest points that fool so far; infinite where there is none."""
        return self.near_size.clone() if len(rows) == len(self) else self.near_size[rows]

    @contextmanager
    def afresh(self) -> Iterator[None]:
        """Inside, `nearest` knows only the points that were found inside; what is kept is not affected."""
        before, size = self.near, self.near_size
        self.near, self.near_size = self.ball.x.clone(), torch.full_like(size, torch.inf)
        try:
            yield
        finally:
            at = (self.near_size < size * (1 - 1e-6)).nonzero().squeeze(1)
            if before is not self.best:  # else what is kept has it already
                before[at], size[at] = self.near[at], self.near_size[at]
            self.near, self.near_size = before, size

    def kept_size(self, rows: Tensor) -> Tensor:
        """[b] sizes of the successes that are kept; infinite where there is none."""
        return self.size[rows]

    def spent(self, rows: Tensor) -> Tensor:
        """[b] passes, forward and backward together."""
        return self.queries[rows] + self.gradients[rows]

    def left(self, rows: Tensor) -> dict[str, Tensor]:
        """[b] what the budget leaves of each kind that it limits: "queries", "gradients", "passes"."""
        used = {"queries": self.queries[rows], "gradients": self.gradients[rows], "passes": self.spent(rows)}
        return {kind: most - used[kind] for kind in used if (most := getattr(self.budget, kind)) is not None}

    def keep_submitted(self, rows: Tensor, ball: Ball, z: Tensor) -> None:
        """Keep points that the attack hands over, unseen by the model; only of a referee that does not judge."""
        raise NotImplementedError

    # --- paying -----------------------------------------------------------------------------------------------

    def charge(
        self, rows: Tensor, queries: int = 0, gradients: int = 0, reserve: int = 0, together: bool = False
    ) -> Tensor | None:
        """Count passes before they happen. Returns None if all rows can pay, else bool [b], who can (and has paid).

        `reserve`: gradients that must be affordable too, and are counted when they happen.
        `together`: the rows can't be told apart any more; if one can't pay, none does.

        Raises:
            BudgetSpent: nobody can.
        """
        able = self._able(rows, queries, gradients + reserve)
        if able is not None:
            self.unpaid[rows[~able]] = True
            self.over[rows[~able]] = True
            rows = rows[able]
            if together or not len(rows):
                raise BudgetSpent
        if queries:
            _add(self.queries, rows, queries)
        if gradients:
            _add(self.gradients, rows, gradients)
        return able

    def charge_many(self, rows: Tensor, count: Tensor) -> Tensor:
        """Count up to `count` [b] queries before they happen. Returns int64 [b], how many each row could pay for.

        Rows that can't pay for all of them are over. Unlike `charge` it never raises: they leave the bout.
        """
        paid, limit = count, self.budget
        if limit != UNLIMITED:
            if limit.queries is not None:
                paid = torch.minimum(paid, limit.queries - self.queries[rows])
            if limit.passes is not None:
                paid = torch.minimum(paid, limit.passes - self.queries[rows] - self.gradients[rows])
            if limit.seconds is not None and time.perf_counter() - self.started > limit.seconds:
                paid = torch.zeros_like(paid)
            paid = paid.clamp(min=0)
            short = rows[paid < count]
            self.unpaid[short] = True
            self.over[short] = True
        self.queries[rows] += paid
        return paid

    def _able(self, rows: Tensor, queries: int, gradients: int) -> Tensor | None:
        limit = self.budget
        if limit == UNLIMITED:
            return None
        if limit.seconds is not None and time.perf_counter() - self.started > limit.seconds:
            return torch.zeros_like(rows, dtype=torch.bool)
        able = torch.ones_like(rows, dtype=torch.bool)
        if limit.queries is not None:
            able &= self.queries[rows] + queries <= limit.queries
        if limit.gradients is not None:
            able &= self.gradients[rows] + gradients <= limit.gradients
        if limit.passes is not None:
            able &= self.queries[rows] + self.gradients[rows] + queries + gradients <= limit.passes
        return None if able.all() else able

    # --- judging ----------------------------------------------------------------------------------------------

    def open(self, margin: Tensor, prediction: Tensor, logits: Tensor | None) -> None:
        """The first look, at the clean images, is counted; who is fooled without any attack is done."""
        self.queries += 1
        self.logits, self.prediction = logits, prediction
        self.correct = self.goal.correct(prediction)
        fooled = self.goal.hit(prediction)
        self.margin = margin.to(self.margin.dtype)
        self.best_failure_margin = self.margin.masked_fill(fooled, torch.inf)
        self.success = fooled.clone()
        self.over = fooled.clone()
        self.size[fooled] = 0
        self.first_hit[fooled] = self.queries[fooled]
        self._record(torch.arange(len(margin), device=margin.device), margin, torch.zeros_like(self.size))

    def judge(self, rows: Tensor, ball: Ball, z: Tensor, margin: Tensor, hit: Tensor, submitted: bool) -> None:
        """Points `z` [b, ...] that the model was just shown, in their `ball`. `submitted`: as the attack's answer."""
        margin = margin.to(self.margin.dtype)
        allowed = None if ball.made(z) else ball.contains(z)
        if self.records is not None:
            size = ball.distance(z)
            if allowed is not None:  # near enough, but off the box or the region: it counts for nothing
                size = size.masked_fill(~allowed & (size <= ball.eps * (1 + 1e-5)), torch.inf)
            self._record(rows, margin, size)
        fooled = hit if allowed is None else hit & allowed
        if self.beyond and allowed is not None and not bool(allowed.all()):
            at = (hit & ~allowed).nonzero().squeeze(1)
            self._note_beyond(rows[at], ball[at], z.index_select(0, at))
        last, keepable = self.keep == "last", None
        if last and submitted:
            self.submitted[rows] = True
        elif last:
            keepable = ~self.submitted[rows]
            allowed = keepable if allowed is None else keepable & allowed
        at = fooled.nonzero().squeeze(1)
        if len(at):
            size = ball.distance(z)  # of all: cheaper than to pick images
            self._success(rows, z, at, margin, size, None if keepable is None else keepable[at])
        bar = self.best_failure_margin if len(rows) == len(self.over) else self.best_failure_margin[rows]
        take = ~fooled if last else margin > bar
        take = (take if allowed is None else take & allowed).nonzero().squeeze(1)
        if len(take):
            at = rows[take]
            if len(take) == len(self.best):  # all of them at once, as often in the first steps
                self.best.copy_(z)
                self.margin.copy_(margin)
                self.best_failure_margin.copy_(margin)
            else:
                self.best.index_copy_(0, at, z.index_select(0, take))
                self.margin[at] = self.best_failure_margin[at] = margin[take]
            if last:  # where a point before it did fool, it is forgotten
                self.size[at], self.success[at], self.first_hit[at] = torch.inf, False, -1

    def judge_many(self, rows: Tensor, ball: Ball, z: Tensor, margin: Tensor, hit: Tensor, asked: Tensor) -> None:
        """Points that were asked together and are paid for, judged as if one after another.

        Args:
            rows: [b] the samples, with their `ball`. asked: bool [b, m], which candidates of each were asked.
            z, margin, hit: [n, ...], [n], bool [n], these points, their margins and verdicts, row by row.
        """
        owner, column = asked.nonzero(as_tuple=True)
        if self.keep != "best" or self.records is not None:  # every look matters
            self.queries[rows] -= asked.sum(1)
            for turn in sorted(set(column.tolist())):
                pick = (column == turn).nonzero().squeeze(1)
                at = owner[pick]
                self.queries[rows[at]] += 1
                self.judge(rows[at], ball[at], z[pick], margin[pick], hit[pick], submitted=False)
            return
        if asked.shape[1] == 1:  # no row more than once
            whole = len(owner) == len(rows)
            self.judge(*((rows, ball) if whole else (rows[owner], ball[owner])), z, margin, hit, submitted=False)
            return
        matters = (hit | (margin > self.best_failure_margin[rows[owner]])).nonzero().squeeze(1)
        if not len(matters):
            return
        allowed = ball[owner[matters]].contains(z[matters])
        if self.beyond:
            outside = matters[~allowed & hit[matters]]
            for turn in set(column[outside].tolist()):  # of one row at most one point at a time
                at = outside[column[outside] == turn]
                self._note_beyond(rows[owner[at]], ball[owner[at]], z[at])
        matters = matters[allowed]
        hits, misses = matters[hit[matters]], matters[~hit[matters]]
        first = _first_of_each(hits, owner, column)
        fresh = first[self.first_hit[rows[owner[first]]] < 0]
        before = self.queries[rows[owner[fresh]]] - asked.sum(1)[owner[fresh]]
        self.first_hit[rows[owner[fresh]]] = before + asked.cumsum(1)[owner[fresh], column[fresh]]
        size = ball.norm.size(z[hits] - ball.x[owner[hits]])
        least = torch.full_like(ball.eps, torch.inf).scatter_reduce(0, owner[hits], size, "amin")
        nearest = _first_of_each(
            hits[size <= least[owner[hits]] * (1 + 1e-6)], owner, column
        )  # rounding decides nothing
        for pick in (_first_of_each(misses, owner, -margin), nearest):
            if len(pick):
                at = owner[pick]
                self.judge(rows[at], ball[at], z[pick], margin[pick], hit[pick], submitted=False)

    def _success(
        self, rows: Tensor, z: Tensor, at: Tensor, margin: Tensor, size: Tensor, keepable: Tensor | None
    ) -> None:
        """The points `z[at]` of the samples `rows[at]` fool; margins and sizes [b] are those of all `rows`.

        `keepable`: bool [n], those of `at` that may be kept; None = all.
        """
        if len(rows) != len(self):
            rows, size = rows.index_select(0, at), size.index_select(0, at)
        else:  # rows number the samples in order
            rows, size = at, size.index_select(0, at)
        first = (self.first_hit.index_select(0, rows) < 0).nonzero().squeeze(1)
        if len(first):
            self.first_hit[rows[first]] = self.queries[rows[first]]
        # of two at the same radius the first, not what rounding says
        nearer = size < self.near_size.index_select(0, rows) * (1 - 1e-6)
        if self.near is not self.best:
            closer = nearer.nonzero().squeeze(1)
            self.near.index_copy_(0, rows[closer], z.index_select(0, at[closer]))
            self.near_size[rows[closer]] = size[closer]
            nearer = size < self.size[rows] * (1 - 1e-6)
        if self.keep == "best":
            better = nearer
        elif self.keep == "margin":
            better = ~self.success[rows] | (margin[at] > self.margin[rows])
        else:
            better = torch.ones_like(nearer) if keepable is None else keepable
        pick = better.nonzero().squeeze(1)
        if not len(pick):
            return
        kept, at = rows.index_select(0, pick), at.index_select(0, pick)
        self.best.index_copy_(0, kept, z.index_select(0, at))
        self.margin.index_copy_(0, kept, margin.index_select(0, at))
        self.size.index_copy_(0, kept, size.index_select(0, pick))
        self.success.index_fill_(0, kept, True)
        self.best_failure_margin.index_fill_(0, kept, torch.inf)
        if self.keep == "best" and self.threat.eps is not None:
            self.over.index_fill_(0, kept, True)

    def _note_beyond(self, rows: Tensor, ball: Ball, z: Tensor) -> None:
        """The points `z` [b, ...] fool outside the ball: those in box and region may be the nearest so far."""
        size = ball.distance(z)
        nearer = (size < self.near_size[rows] * (1 - 1e-6)).nonzero().squeeze(1)
        if len(nearer):
            anywhere = torch.full_like(size[nearer], torch.inf)
            nearer = nearer[ball[nearer].with_eps(anywhere).contains(z[nearer])]
            self.near.index_copy_(0, rows[nearer], z[nearer])
            self.near_size[rows[nearer]] = size[nearer]

    def note_gradient(self, rows: Tensor, peak: Tensor) -> bool:
        """Largest magnitude of each sample's gradient [b]: zeros, NaN and Inf are remembered. Returns: any of them."""
        if bool(((peak > 0) & (peak < torch.inf)).all()):
            return False
        self.flat[rows] += peak == 0
        self.note_broken(rows, ~peak.isfinite())
        return True

    def note_cut(self, rows: Tensor) -> None:
        """A gradient was asked for, but the graph does not reach the pixels."""
        self.cut[rows] += 1
        self.flat[rows] += 1

    def note_broken(self, rows: Tensor, signs: Tensor) -> None:
        """Where NaN or Inf was seen, bool [b]."""
        self.broken[rows] |= signs

    def note_least(self, rows: Tensor, least: float, proved: bool) -> None:
        """No success is nearer than `least`, as an exact search says; `proved`: the nearest is known."""
        self.least[rows] = least
        self.unproved[rows] = not proved

    def _record(self, rows: Tensor, margin: Tensor, size: Tensor) -> None:
        """Write down what was seen of the rows; NaN for the others."""
        if self.records is not None:
            blank = torch.full_like(self.margin, torch.nan)
            seen = (blank.index_copy(0, rows, values.to(blank.dtype)) for values in (margin, size))
            self.records.append((*seen, self.queries.clone()))  # type: ignore[arg-type]

    # --- closing ----------------------------------------------------------------------------------------------

    def result(self, attack: str, seed: int) -> Result:
        """The final score, on the CPU."""
        self._recheck()
        return Result(
            x_adv=self.best.cpu(),
            success=self.success.cpu(),
            distance=self.size.cpu(),
            margin=self.margin.cpu(),
            clean_correct=self.correct.cpu(),
            queries=self.queries.cpu(),
            gradients=self.gradients.cpu(),
            first_hit=self.first_hit.cpu(),
            threat=self.threat,
            attack=attack,
            seed=seed,
            seconds=time.perf_counter() - self.started,
            doubts=tuple(self._doubts()),
            trace=self._trace(),
        )

    def _recheck(self) -> None:
        """What is kept must be allowed, whoever wrote into a tensor behind the referee's back: else the clean image."""
        outside = (~self.ball.contains(self.best)).nonzero().squeeze(1)
        self.best[outside] = self.ball.x[outside]
        self.success[outside], self.size[outside], self.margin[outside] = False, torch.inf, -torch.inf
        self.first_hit[outside] = -1

    def _trace(self) -> Trace | None:
        if self.records is None:
            return None
        if not self.records:  # an empty batch
            return Trace(torch.empty(0, 0), torch.empty(0, 0), torch.empty(0, 0, dtype=torch.int64))
        margin, size, query = ([look[i].cpu() for look in self.records] for i in range(3))
        return Trace(torch.stack(margin), torch.stack(size), torch.stack(query))

    def _gap(self) -> float:
        """The widest gap between a distance that is not proven and what is known for sure."""
        gaps = (self.size - self.least)[self.unproved]
        return float(gaps.max()) if len(gaps) else 0.0

    def _doubts(self) -> list[Doubt]:
        wanted = self.gradients + self.cut
        asked = wanted > 0
        failed = ~self.success
        signs = [
            (
                "zero-gradients",
                asked & (2 * self.flat >= wanted),
                asked,
                "{} of {} samples had a gradient of exactly zero at least half of the time: the loss is saturated or "
                "the graph is cut, and the attack could not steer",
            ),
            (
                "non-finite",
                self.broken,
                self.queries > 0,
                "{} of {} samples met NaN or Inf in logits or gradients on the way; such points count as not fooled",
            ),
            ("budget-spent", self.unpaid & failed, failed, "{} of {} samples still standing ran out of budget"),
            (
                "not-proven",
                self.unproved,
                self.queries > 0,
                "{} of {} distances are not proven to be the smallest: time ran out, or the net has layers that the "
                f"proof does not know; the widest gap is {self._gap():.4g}",
            ),
        ]
        return [
            Doubt(code, text.format(int(sign.sum()), int(among.sum())), float(sign.sum() / among.sum()))
            for code, sign, among, text in signs
            if sign.any()
        ]


class TrainingReferee(Referee):
    """Counts, but judges nothing and sends nobody away: for examples to train on, whatever they achieve."""

    judges = False

    def judge(self, rows: Tensor, ball: Ball, z: Tensor, margin: Tensor, hit: Tensor, submitted: bool) -> None:
        """Nothing is said of points on the way."""

    def keep_submitted(self, rows: Tensor, ball: Ball, z: Tensor) -> None:
        """Keep points that the attack hands over, inside the ball."""
        self.best[rows] = z if ball.made(z) else ball.project(z)


def _add(counts: Tensor, rows: Tensor, amount: int) -> None:
    """counts[rows] += amount, at once where the rows are all there are."""
    if len(rows) == len(counts):
        counts += amount
    else:
        counts[rows] += amount


def _first_of_each(pick: Tensor, owner: Tensor, cost: Tensor) -> Tensor:
    """Of the numbers `pick`, for each owner the one that costs least, the first of equals."""
    if not len(pick):
        return pick
    pick = pick[cost[pick].argsort(stable=True)]
    pick = pick[owner[pick].argsort(stable=True)]
    mine = owner[pick]
    return pick[torch.cat([torch.ones_like(mine[:1], dtype=torch.bool), mine[1:] != mine[:-1]])]
