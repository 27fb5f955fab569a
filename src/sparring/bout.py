"""A bout: one attack against one batch. All that an attack may ask, and all that it needs besides.

The attack asks (`labels`, `logits`, `grad`); the referee counts the pass before it happens, judges the point that was
shown and keeps the best, sample by sample. Rows that are done leave the bout (`active`), rows of a bout never
influence each other, and noise belongs to the row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from math import isfinite
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from sparring.ball import Ball
from sparring.bounds.graph import Graph
from sparring.bounds.read import read_graph
from sparring.budget import BudgetSpent
from sparring.errors import AccessError, InputError
from sparring.losses import margin as margin_loss
from sparring.model import LEVELS, Access, Model
from sparring.outputs import classes
from sparring.referee import Referee
from sparring.rng import Noise
from sparring.threat import Box, Goal, OutputGoal

LossFunction = Callable[[Tensor, Goal], Tensor]

PACK, PACK_ON_CPU = 2**21, 2**18
"""Pixels of candidates that go through the net at once, where the batch of the call is not larger anyway. On a CPU,
larger batches leave its caches: nets of a few layers then answered half as many images in a second."""


@runtime_checkable
class View(Protocol):
    """What the model is shown instead of a point: an augmentation, a look-ahead. Differentiable.

    `copies` passes are made with fresh noise each, and their losses averaged. A view whose copies are not all alike
    lists them as `turns`, one with lengths or values of pixels has a method `in_box`; see the functions of these names.
    """

    @property
    def copies(self) -> int: ...

    def __call__(self, z: Tensor, noise: Noise) -> Tensor: ...


def turns(view: View | None) -> Sequence[View | None]:
    """What to show in each pass of a gradient; None = the point itself, which is then judged as always."""
    if view is None:
        return (None,)
    own: Sequence[View | None] | None = getattr(view, "turns", None)
    return own or (view,) * view.copies


def in_box(view: Any, box: tuple[float, float]) -> Any:
    """A view or transform as it is on pixels of `box`.

    Its own numbers are parts of the box: 0 is its low end, 1 its high end. One without a method `in_box` has none.
    """
    return view if box == (0.0, 1.0) or not hasattr(view, "in_box") else view.in_box(box)


class Bout:
    """The rows of a batch that still stand, and what may be asked about them.

    Attributes:
        x: [b, ...] their clean images. goal: what counts as fooled. ball: the allowed points (project, sample ...).
        noise: their random numbers. clean_logits: [b, K] what the model said of the clean images, asked once.
    """

    def __init__(
        self,
        model: Model,
        referee: Referee,
        rows: Tensor,
        goal: Goal,
        ball: Ball,
        noise: Noise,
        sees: Access,
        threat: Ball | None = None,
    ) -> None:
        self._model, self._referee, self._rows, self._sees = model, referee, rows, sees
        self.goal, self.ball, self.noise = goal, ball, noise
        self._threat = threat  # what points are judged by, where the search has a ball of its own
        self._most: Tensor | None = None  # [b] passes of the whole call after which a row leaves this part
        self._told: tuple[Tensor, Tensor] | None = None  # logits that `jacobian` gave last, and their margins

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def sees(self) -> Access:
        """The most that may be asked for here."""
        return self._sees

    @property
    def box(self) -> Box:
        """Of the model's pixels; that of the ball may be smaller."""
        return self._model.box

    @property
    def classes(self) -> int | None:
        """How many the model tells apart, where that is known."""
        return self._model.class_count

    @property
    def x(self) -> Tensor:
        return self.ball.x

    @property
    def eps(self) -> Tensor:
        """[b] the radius; infinite where the smallest perturbation is wanted."""
        return self.ball.eps

    @property
    def clean_logits(self) -> Tensor:
        self._need("score")
        with torch.no_grad():
            return self._referee.clean_logits(self._model.logits)[self._rows]

    @property
    def nearest_success(self) -> tuple[Tensor, Tensor]:
        """The nearest point that fools so far in this call, by whatever part: points [b, ...] and their sizes [b].

        Where there is none: the clean image, and infinity. For searches that go on from where others ended. Those for
        the smallest perturbation also see points outside the ball here, which are no success.
        """
        near, size = self._referee.nearest(self._rows)
        return torch.where(self.ball.column(size.isfinite()), near, self.x), size

    @property
    def nearest_size(self) -> Tensor:
        """[b] the sizes of `nearest_success` alone: no image is looked up."""
        return self._referee.nearest_size(self._rows)

    def afresh(self) -> AbstractContextManager[None]:
        """Inside, `nearest_success` knows only what was found inside: for parts that must not start from others' finds.

        What was known before is known again afterwards; the nearest of both counts.
        """
        return self._referee.afresh()

    @property
    def passes_left(self) -> int | None:
        """Passes, forward and backward together, that the budget leaves each row; None = no limit but time.

        Where forward or backward passes are limited, it is twice what is left of them. For searches that plan ahead.
        """
        kinds = self._referee.left(self._rows)
        left = [kinds[kind] if kind == "passes" else 2 * kinds[kind] for kind in kinds]
        return int(torch.stack(left).amax(1).amin()) if left and len(self) else None

    @property
    def queries_left(self) -> int | None:
        """Queries that budget and share of passes leave every row that takes no gradient; None = no limit but time."""
        each = self.queries_left_each
        return None if each is None or not len(self) else int(each.amin())

    @property
    def queries_left_each(self) -> Tensor | None:
        """[b] `queries_left` row by row: for searches that plan a step of their own for each row."""
        kinds = self._referee.left(self._rows)
        left = [kinds[kind] for kind in kinds if kind != "gradients"]
        if self._most is not None:
            left.append(self._most - self._spent())
        return torch.stack(left).amin(0) if left else None

    @property
    def early_exit(self) -> bool:
        """Only the best point of each row is wanted, not every step: a row that can find nothing new may leave."""
        return self._referee.early_exit

    def margin(self, logits: Tensor) -> Tensor:
        """[b] the margins of logits [b, K] without their gradients: positive <=> fooled.

        Those that `jacobian` gave last are known already, as the judge needs them too.
        """
        if self._told is not None and self._told[0] is logits:
            return self._told[1]
        return self.goal.margin(logits.detach())

    # --- asking -----------------------------------------------------------------------------------------------

    def labels(self, z: Tensor) -> Tensor:
        """The predicted classes of `z`: [b]. One query."""
        self._need("decision")
        if self._sees == "decision":
            return self._labels(z, submitted=False)
        with torch.no_grad():  # the judge sees the margin too
            return classes(self._logits(z.detach(), None, submitted=False)[0])

    def fooled(self, z: Tensor) -> Tensor:
        """bool [b]: does `z` reach the goal? One query. All that a decision-based attack learns."""
        return self._hit(self.labels(z))

    def fooled_many(self, z: Tensor, wanted: Tensor | None = None) -> Tensor:
        """bool [b, m]: which of the m points of each row `z` [b, m, ...] reach the goal? One query each.

        They go through the net in full batches and are judged as if they had been asked one after another. A row whose
        budget, or share of passes (`child(passes=)`), does not reach for all of them asks for its first ones and
        leaves. What is not asked costs nothing and counts as not fooled; rows that are done already ask nothing.

        Args:
            wanted: bool [b, m], ask about these only; None = all.
        """
        self._need("decision")
        wanted = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device) if wanted is None else wanted
        wanted = wanted & ~self._referee.is_over(self._rows)[:, None]
        count = wanted.sum(1)
        if self._most is not None:
            count = torch.minimum(count, (self._most - self._spent()).clamp(min=0))
        asked = wanted & (wanted.cumsum(1) <= self._referee.charge_many(self._rows, count)[:, None])
        at = asked.flatten().nonzero().squeeze(1)
        hits = torch.zeros(asked.numel(), dtype=torch.bool, device=z.device)
        if not len(at):
            return hits.view(asked.shape)
        owner, points, parts = at // z.shape[1], self._picked(z, at), []
        with torch.no_grad():
            for part in self._packs(len(at)):
                parts.append(self._verdict(self._put_right(points, part, owner[part]), owner[part]))
        hit, margin = parts[0] if len(parts) == 1 else (torch.cat(part) for part in zip(*parts, strict=True))
        if self._referee.judges:
            self._referee.judge_many(self._rows, self._threat or self.ball, points, margin, hit, asked)
        return hits.index_copy(0, at, hit).view(asked.shape)

    def logits(self, z: Tensor, view: View | None = None) -> Tensor:
        """[b, K], differentiable where `z` requires grad. One query, and one gradient when it is differentiated.

        With a view, the point itself is not shown, hence not judged.
        """
        self._need("gradient" if z.requires_grad else "score")
        if not z.requires_grad:
            return self._logits(z, view, submitted=False)[0]
        point, everybody = z.view_as(z), self._rows
        logits, payers = self._logits(point, view, submitted=False)
        if not logits.requires_grad:
            self._referee.note_cut(everybody)
            return logits

        def note(slope: Tensor) -> None:  # returns nothing: a hook's answer would replace the gradient
            self._referee.note_gradient(everybody, _peak(slope))

        point.register_hook(note)  # type: ignore[no-untyped-call]
        logits.register_hook(lambda _: self._pay_backward(payers))  # type: ignore[no-untyped-call]
        return logits

    def candidates(self, z: Tensor, wanted: Tensor | None = None) -> Tensor:
        """The logits of m points a row, asked together in full batches: [b, m, ...] -> [b, m, K]. m queries.

        They are judged as if they had been asked one after another. A row whose budget does not reach for all asks
        for its first ones and leaves. What is not asked is not paid for, and gets the logits of the clean image.

        Args:
            wanted: bool [b, m], ask about these only; None = all.
        """
        self._need("score")
        wanted = torch.ones(z.shape[:2], dtype=torch.bool, device=z.device) if wanted is None else wanted
        turn, count = wanted.cumsum(1), z.shape[1]
        if not bool(wanted.any()):
            return self.clean_logits[:, None].expand(-1, count, -1)
        paid = self._referee.charge_many(self._rows, wanted.sum(1))
        if not bool(paid.any()):
            if bool(self._referee.is_over(self._rows).all()):
                raise BudgetSpent
            return self.clean_logits[:, None].expand(-1, count, -1)  # those that want nothing now may go on
        asked = wanted & (turn <= paid[:, None])
        at = asked.flatten().nonzero().squeeze(1)
        points, parts = self._picked(z, at), []
        with torch.no_grad():
            for part in self._packs(len(at)):
                rows = at[part] // count
                parts.append(self.goal[rows].read(self._model.logits(self._put_right(points, part, rows))))
            answer = torch.cat(parts) if len(parts) > 1 else parts[0]
            self._judge_candidates(points, answer, at // count, asked)
            if len(at) == asked.numel():
                return answer.reshape(*asked.shape, -1)
            full = self.clean_logits.to(answer.dtype).repeat_interleave(count, 0)
            return full.index_copy(0, at, answer).reshape(*asked.shape, -1)

    def candidate_losses(self, z: Tensor, loss: LossFunction, wanted: Tensor | None = None) -> Tensor:
        """The loss of m points a row: [b, m, ...] -> [b, m]. m queries, see `candidates`."""
        logits = self.candidates(z, wanted)
        rows = torch.arange(len(self), device=z.device).repeat_interleave(z.shape[1])
        return loss(logits.flatten(0, 1), self.goal[rows]).reshape(z.shape[:2])

    def grad(self, z: Tensor, loss: LossFunction, view: View | None = None) -> Tensor:
        """The gradient of the loss at `z`, row by row: [b, ...]. One query and one gradient a copy of the view."""
        return self.value_and_grad(z, loss, view)[1]

    def value_and_grad(self, z: Tensor, loss: LossFunction, view: View | None = None) -> tuple[Tensor, Tensor]:
        """The loss [b] and its gradient [b, ...] at `z`. Rows whose gradient is NaN or Inf get zeros, and a doubt."""
        self._need("gradient")
        first, *others = turns(view)
        value, slope = self._once(z, loss, first)
        for copy, other in enumerate(others, 2):  # a running mean
            more_value, more_slope = self._once(z, loss, other)
            value, slope = value.lerp(more_value, 1 / copy), slope.lerp(more_slope, 1 / copy)
        return value, slope

    def jacobian(
        self, z: Tensor, readout: Callable[[Tensor], Tensor] | None = None, count: int | None = None
    ) -> tuple[Tensor, Tensor]:
        """Logits [b, K] at `z` and the gradients [b, m, ...] of each of `m` numbers read off them.

        One query and m gradients; m queries, where the graph of the net serves for one gradient alone (compiled nets).
        Gradients that are NaN or Inf become zeros, and a doubt.

        Args:
            readout: logits [b, K] -> [b, m], differentiable; None = the logits themselves, m = K.
            count: m, where there is a readout.
        """
        self._need("gradient")
        wanted = count or self.clean_logits.shape[1]
        said: Tensor | None = None
        slopes: list[Tensor] = []
        paid = False  # for the next gradient
        while len(slopes) < wanted:
            point, reuse = z.detach().requires_grad_(), self._model.keeps_graph
            logits, shown, able = self._scores(point, None, reserve=wanted - len(slopes) if reuse else 1)
            told = logits.detach()
            said = told if said is None else said
            try:
                values = logits if readout is None else readout(logits)
                for k in range(len(slopes), wanted if reuse else len(slopes) + 1):
                    if values.requires_grad and not paid:
                        self._pay_backward(self._payers(able))
                    more, used = reuse and k + 1 < wanted, reuse and k > 0
                    slope = self._slope(values[:, k], point, logits, more, used)
                    paid = slope is None
                    if slope is not None:
                        slopes.append(slope)
                    if reuse and not self._model.keeps_graph:
                        break
            finally:
                self._told = told, self.goal.margin(told)
                self._weigh(shown, told, able, submitted=False, margin=self._told[1])
        assert said is not None
        return said, torch.stack(slopes, 1) if len(slopes) > 1 else slopes[0][:, None]

    def graph(self) -> Graph | None:
        """The net layer by layer, in float64, for exact searches. None where it cannot be read: that is noted."""
        self._need("gradient")
        try:
            graph = read_graph(self._model, tuple(self.x.shape[1:]), check=False)
        except InputError:
            graph = None
        if graph is not None:
            with torch.no_grad():  # the answers to the clean images are known: no pass is spent on the check
                said, read = self.clean_logits, graph.value(self.x)
            if said.shape == read.shape and bool(((said - read).abs() <= 1e-4 * (1 + said.abs())).all()):
                return graph.to(torch.float64)
        self._referee.note_least(self._rows, 0.0, False)
        return None

    def note_least(self, rows: Tensor, least: float, proved: bool) -> None:
        """Of some rows it is known that no success is nearer than `least`, and whether that settles them."""
        self._referee.note_least(self._rows[rows], least, proved)

    def submit(self, z: Tensor) -> None:
        """Hand a point over: it is shown to the model and judged. One query."""
        if not len(self):
            return
        if not self._referee.judges:
            self._referee.keep_submitted(self._rows, self._threat or self.ball, self._shown(z.detach()))
        elif self._sees == "decision":
            self._labels(z, submitted=True)
        else:
            with torch.no_grad():
                self._logits(z.detach(), None, submitted=True)

    # --- who is left ------------------------------------------------------------------------------------------

    def active(self, *state: Any, done: Tensor | None = None) -> Any:
        """Let the rows that are done leave. Give the search's state, get it back for the rows that stay.

        The state is any nest of tuples, lists and dicts of tensors [b, ...]; one value comes back as itself.

        Args:
            done: bool [b], rows whose search here is over as well; they come back in parts made of the bout around.
        """
        leave = self._referee.is_over(self._rows)
        if self._threat is not None and self._referee.early_exit:  # found inside the radius of this part
            leave = leave | (self._referee.kept_size(self._rows) <= self.eps * (1 + 1e-5))
        if self._most is not None:
            leave = leave | (self._spent() >= self._most)
        if done is not None:
            leave = leave | done
        if bool(leave.any()):
            at = (~leave).nonzero().squeeze(1)
            self._rows, self.goal = self._rows[at], self.goal[at]
            self.ball, self.noise = self.ball[at], self.noise[at]
            self._threat = None if self._threat is None else self._threat[at]
            self._most = None if self._most is None else self._most[at]
            state = tree_map(lambda value: value[at] if isinstance(value, Tensor) else value, state)
        return state[0] if len(state) == 1 else state

    def child(self, tag: int, goal: Goal | None = None, eps: Tensor | None = None, passes: int | None = None) -> Bout:
        """A bout of those who still stand, with noise of its own: the same however long other parts took.

        Args:
            goal: another one for its losses to aim at. eps: [b] a radius of its own to search in: rows with a success
                inside it leave; a success beyond counts all the same, where the threat allows it.
            passes: rows leave once they have spent so many here, both kinds together; no step is cut short.
        """
        noise, ball, threat = self.noise.fold(tag), self.ball, self._threat
        if eps is not None:
            ball, threat = ball.with_eps(eps), threat or ball
        bout = Bout(self._model, self._referee, self._rows, goal or self.goal, ball, noise, self._sees, threat)
        bout._most = self._most
        if passes is not None:
            most = self._spent() + passes
            bout._most = most if self._most is None else torch.minimum(most, self._most)
        bout.active()
        return bout

    def groups(self, size: int, rows: Tensor | None = None) -> Iterator[tuple[Tensor, Bout]]:
        """The rows, at most `size` at a time: their numbers here [g], and a bout of them that goes on with this one.

        For candidates that would not fit in memory for all rows at once. Noise is drawn from a `fold`: what a group
        draws, this bout does not know of.

        Args:
            rows: bool [b], these only; None = all.
        """
        at = torch.arange(len(self), device=self.x.device) if rows is None else rows.nonzero().squeeze(1)
        if len(self) == len(at) <= size:
            yield at, self
            return
        for part in torch.split(at, size) if len(at) else ():
            threat = None if self._threat is None else self._threat[part]
            group = Bout(
                self._model, self._referee, self._rows[part], self.goal[part], self.ball[part], self.noise[part],
                self._sees, threat,
            )  # fmt: skip
            group._most = None if self._most is None else self._most[part]
            yield part, group

    def restarts(self, count: int) -> Iterator[Bout]:
        """`count` fresh starts, each for the rows that still stand then."""
        for restart in range(count):
            bout = self.child(restart)
            if not len(bout):
                return
            yield bout

    def targets(self, count: int) -> Iterator[Bout]:
        """One bout for each of the `count` likeliest wrong classes, likeliest first, aimed at it."""
        if self.goal.y is None or self.goal.targeted:
            yield from self.restarts(1)
            return
        wrong = self.clean_logits.scatter(1, self.goal.y[:, None], float("-inf"))
        ranks = wrong.argsort(dim=1, descending=True, stable=True)[:, : min(count, wrong.shape[1] - 1)]
        for rank in range(ranks.shape[1]):
            bout = self.child(rank, self.goal.aim(ranks[:, rank]))
            if not len(bout):
                return
            yield bout

    def least_likely(self) -> Tensor:
        """[b] the wrong class that the model finds least likely on each clean image."""
        assert self.goal.y is not None
        return self.clean_logits.scatter(1, self.goal.y[:, None], float("inf")).argmin(1)

    def _spent(self) -> Tensor:
        """[b] passes that each row has taken part in, since the call began."""
        return self._referee.spent(self._rows)

    # --- inside -----------------------------------------------------------------------------------------------

    def _picked(self, z: Tensor, at: Tensor) -> Tensor:
        """Of candidates [b, m, ...] the points [n, ...] number `at` [n]; no copy, where it is all and all are right."""
        points = z.detach().flatten(0, 1)
        if len(at) < len(points):
            return points.index_select(0, at)
        return points if self._unchanged else points.clone()

    def _packs(self, count: int) -> Iterator[slice]:
        """So many points in parts that go through the net at once."""
        pack = PACK_ON_CPU if self.x.device.type == "cpu" else PACK
        size = max(len(self._referee), pack // max(1, self.x[0].numel()))
        return (slice(start, start + size) for start in range(0, count, size))

    def _put_right(self, points: Tensor, part: slice, rows: Tensor) -> Tensor:
        """This part of the `points` as the threat lets them be, which they are from then on; see `_shown`."""
        if not self._unchanged:
            points[part] = self._shown(points[part], rows)
        return points[part]

    @property
    def _unchanged(self) -> bool:
        """Every point is shown as it is: no region, no grid."""
        return self.ball.free is None and self.ball.levels is None

    def _labels(self, z: Tensor, submitted: bool) -> Tensor:
        z = self._shown(z.detach())
        able = self._referee.charge(self._rows, queries=1)
        with torch.no_grad():
            labels = self._ask(self._labelled, z, able, lambda: self._referee.clean_prediction(self._rows))
        self._referee.note_broken(self._rows, labels < 0)
        self._judge(z, torch.full_like(self.eps, torch.nan), self._hit(labels), able, submitted)
        return labels

    def _verdict(self, shown: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        """Fooled (bool) and margin of points [n, ...] of the rows `owner` [n]; who sees classes only has no margin."""
        goal = self.goal[owner]
        if self._sees == "decision":
            labels = self._labelled(shown, goal)
            broken, margin = labels < 0, torch.full_like(self.eps[owner], torch.nan)
            hit = goal.hit(labels) & ~broken
        else:
            margin = goal.margin(goal.read(self._model.logits(shown)))
            broken = ~margin.isfinite()
            margin, hit = margin.masked_fill(broken, torch.nan), margin > 0
        self._referee.note_broken(self._rows[owner[broken]], broken[broken])
        return hit & ~broken, margin

    def _hit(self, labels: Tensor) -> Tensor:
        """Fooled; never where the model gave NaN or Inf, which it says as class -1."""
        return self.goal.hit(labels) & (labels >= 0)

    def _logits(self, z: Tensor, view: View | None, submitted: bool) -> tuple[Tensor, Tensor]:
        """The model's answer, judged, and the rows that took part in it."""
        logits, shown, able = self._scores(z, view)
        self._weigh(shown, logits, able, submitted)
        return logits, self._payers(able)

    def _scores(self, z: Tensor, view: View | None, reserve: int = 1) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The model's answer, the points that it is about (None behind a view), and who could pay (None = all)."""
        shown = self._shown(z)
        point = shown.detach() if view is None else None
        if view is not None:
            shown = in_box(view, self.ball.box)(shown, self.noise)
        able = self._referee.charge(self._rows, queries=1, reserve=reserve * int(shown.requires_grad))
        return self._ask(self._answered, shown, able, lambda: self.clean_logits), point, able

    def _answered(self, z: Tensor, goal: Goal) -> Tensor:
        """The logits of points [b, ...] with their goal."""
        return goal.read(self._model.logits(z))

    def _labelled(self, z: Tensor, goal: Goal) -> Tensor:
        """The classes of points [b, ...] with their goal."""
        return self._model.labels(z) if not isinstance(goal, OutputGoal) else classes(self._answered(z, goal))

    def _weigh(
        self,
        shown: Tensor | None,
        logits: Tensor,
        able: Tensor | None,
        submitted: bool,
        margin: Tensor | None = None,
    ) -> None:
        """Judge the points that were shown; of an answer behind a view, only whether it is broken.

        `margin`: [b] of these logits, where it is known already.
        """
        if not self._referee.judges:
            return
        with torch.no_grad():
            margin = self.goal.margin(logits) if margin is None else margin
            if not isfinite(float(margin.sum())):  # one look at all rows, nearly always enough
                broken = ~margin.isfinite()
                self._referee.note_broken(self._rows, broken)
                margin = margin.masked_fill(broken, torch.nan)
            if shown is not None:
                self._judge(shown, margin, margin > 0, able, submitted)

    def _judge_candidates(self, points: Tensor, logits: Tensor, rows: Tensor, asked: Tensor) -> None:
        """Judge the points [n, ...] that were asked, row by row of the bout; `asked` [b, m] says which those are."""
        if not self._referee.judges:
            return
        margin = self.goal[rows].margin(logits)
        broken = ~margin.isfinite()
        if bool(broken.any()):
            self._referee.note_broken(self._rows[rows[broken]], broken[broken])
            margin = margin.masked_fill(broken, torch.nan)
        self._referee.judge_many(self._rows, self._threat or self.ball, points, margin, margin > 0, asked)

    def _once(self, z: Tensor, loss: LossFunction, view: View | None) -> tuple[Tensor, Tensor]:
        """Loss and gradient from one pass each."""
        point = z.detach().requires_grad_()
        logits, shown, able = self._scores(point, view)
        try:
            losses = loss(logits, self.goal)
            if losses.requires_grad:
                self._pay_backward(self._payers(able))
            slope = self._slope(losses, point, logits)
        finally:  # after the gradient: judging would push what it needs out of the cache
            margins = losses.detach() if loss is margin_loss else None
            self._weigh(shown, logits.detach(), able, submitted=False, margin=margins)
        assert slope is not None
        return losses.detach(), slope

    def _slope(
        self, losses: Tensor, point: Tensor, logits: Tensor, again: bool = False, used: bool = False
    ) -> Tensor | None:
        """d losses / d point, paid for; zero where there is none or it is NaN or Inf.

        A zero where the model is fooled is no sign of a masked gradient: there DLR is constant if the true class is
        third, and hinges are flat.

        Args:
            again: the graph is needed once more; if it cannot be kept, that is noted at the model.
            used: the graph has served before; if it did not outlast that, it is noted too, and the answer is None.
        """
        if not losses.requires_grad:
            self._referee.note_cut(self._rows)
            return torch.zeros_like(point)
        try:
            slope = _gradient(losses, point, again)
        except RuntimeError:
            if not (again or used):
                raise
            self._model.keeps_graph = False
            if used:
                return None
            slope = _gradient(losses, point)
        total = slope.flatten(1).sum(1)
        if not self._referee.judges:  # nobody asks for doubts, but NaN must not spread
            return slope if bool((total * 0 == 0).all()) else slope.nan_to_num(0.0, 0.0, 0.0)
        if not bool((total / total == 1).all()):  # neither NaN nor Inf nor 0: one pass, nearly always enough
            fooled = self.goal.margin(logits.detach()) > 0
            self._referee.note_gradient(self._rows, _peak(slope).masked_fill(fooled & (total == 0), 1.0))
            slope = slope.nan_to_num(0.0, 0.0, 0.0)
        return slope

    def _payers(self, able: Tensor | None) -> Tensor:
        return self._rows if able is None else self._rows[able]

    def _pay_backward(self, rows: Tensor) -> None:
        """Before a gradient goes through the net."""
        self._referee.charge(rows, gradients=1, together=True)

    def _shown(self, z: Tensor, rows: Tensor | None = None) -> Tensor:
        """The point as the threat lets it be: in its region, and on its grid (the gradient passes straight through).

        `rows`: to which rows of the bout the points belong, where they are not simply all of them.
        """
        if self._unchanged:
            return z
        ball = self.ball if rows is None else self.ball[rows]
        z = ball.restrict_to_region(z)
        return z if ball.levels is None else ball.snap(z.detach()) + (z - z.detach())

    def _ask(
        self, question: Callable[[Tensor, Goal], Tensor], z: Tensor, able: Tensor | None, idle: Callable[[], Tensor]
    ) -> Tensor:
        """The model's answer for the rows that could pay; the others get the answer to their clean image again."""
        if able is None:
            return question(z, self.goal)
        answer = question(z[able], self.goal[able])
        return idle().to(answer.dtype).clone().index_put((able.nonzero().squeeze(1),), answer)

    def _judge(self, z: Tensor, margin: Tensor, hit: Tensor, able: Tensor | None, submitted: bool) -> None:
        rows, ball = self._rows, self._threat or self.ball
        if able is not None:
            rows, ball, z, margin, hit = rows[able], ball[able], z[able], margin[able], hit[able]
        self._referee.judge(rows, ball, z, margin, hit, submitted)

    def _need(self, level: Access) -> None:
        if LEVELS.index(level) > LEVELS.index(self._sees):
            raise AccessError(
                f"this asks for {level} access, but the attack may only see: {self._sees}. An attack declares what it "
                "sees when it is registered; a model grants it with wrap(..., access=)"
            )


def _gradient(losses: Tensor, point: Tensor, again: bool = False) -> Tensor:
    """d losses / d point, zero where the one does not depend on the other. `again`: keep the graph."""
    (slope,) = torch.autograd.grad(losses, point, torch.ones_like(losses), retain_graph=again, allow_unused=True)
    return torch.zeros_like(point) if slope is None else slope


def _peak(slope: Tensor) -> Tensor:
    """The largest magnitude of each row's gradient: [b]."""
    flat = slope.flatten(1)
    return torch.maximum(flat.amax(1), -flat.amin(1)) if flat.shape[1] else flat.new_zeros(len(flat))
