"""The nearest point that fools a ReLU net, by mixed-integer programming: proven, or with a lower bound. With HiGHS.

Tjeng, Xiao & Tedrake 2019, arXiv:1711.07356. Unknowns are the pixels, the values of the ReLUs, one binary for each
ReLU that the ball of the cap leaves unstable, and the size. CROWN says which side the others are on: they are linear.
The cap grows: a half, three quarters, nine tenths, all of the size that an attack found. A small cap is soon proved
empty, and makes the next search start higher.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sparring.ball import Ball
from sparring.bounds.backward import Form, settle
from sparring.bounds.ball import Region
from sparring.bounds.crown import Neurons, crown_margins, crown_neurons
from sparring.bounds.graph import Graph
from sparring.errors import MissingExtra
from sparring.norms import L1
from sparring.threat import Goal

CAPS = (0.5, 0.75, 0.9, 1.0)
TOLERANCE = 1e-6
"of HiGHS: its points and bounds are that exact"

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Nearest:
    """What is known of one image: no point nearer than `lower` fools; `points` [P, ...] fool, or nearly so."""

    lower: float
    points: Tensor
    proved: bool


def claims(goal: Goal, classes: int) -> list[list[Tensor]]:
    """For each row of the goal the ways to reach it: matrices [m, K], reached where all of M z >= 0."""
    eye = torch.eye(classes, dtype=torch.float64)
    found = []
    for label in goal.label.tolist():
        others = [k for k in range(classes) if k != label]
        away = eye[others] - eye[label]
        found.append([-away] if goal.targeted else list(away[:, None]))
    return found


def nearest(graph: Graph, ball: Ball, ways: Sequence[Tensor], size: float, seconds: float) -> Nearest:
    """The nearest point of one image that reaches one of the ways.

    Args:
        graph: in float64. ball: one row; its norm is L1 or Linf. ways: see `claims`. size: nothing beyond is looked
            for; where an attack has been, or as far as the threat goes.
        seconds: for all of it.

    Raises:
        MissingExtra: HiGHS is not installed.
    """
    began, lower = time.perf_counter(), 0.0
    for cap in CAPS:
        limit = size * cap * (1 + 1e-6)
        here = ball.with_eps(torch.full_like(ball.eps, limit))
        region = Region.of(here).to(torch.float64)
        neurons = crown_neurons(graph, region)
        found: list[tuple[float, Tensor]] = []
        least, settled = limit, True
        for way in ways:
            if _out_of_reach(graph, region, neurons, way):
                continue
            problem = _Problem(graph, region, neurons, way, lower, min(limit, least), ball.norm is L1)
            left = seconds - (time.perf_counter() - began)
            bound, point, done = problem.solve(max(0.1, left))
            least, settled = min(least, bound), settled and done
            if point is not None:
                found.append((bound, point))
        lower = max(lower, min(least, limit) - TOLERANCE)
        if found or not settled:
            points = [point for _, point in sorted(found, key=lambda pair: pair[0])]
            shaped = torch.stack(points).reshape(-1, *ball.x.shape[1:]) if points else ball.x[:0]
            return Nearest(lower, shaped.to(ball.x.dtype), settled)
    return Nearest(lower, ball.x[:0], True)


def stretched(x: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Points a little farther from x than those given, which lie on the boundary itself: farther each time."""
    for extra in (0.0, 1e-6, 1e-5, 1e-4, 1e-3):
        yield x + (points - x) * (1 + extra)


def _out_of_reach(graph: Graph, region: Region, neurons: Neurons, way: Tensor) -> bool:
    """Bounds alone say that one of its inequalities holds nowhere."""
    owner = torch.zeros(len(way), dtype=torch.int64)
    return bool((crown_margins(graph, region, neurons, -way, owner) > 0).any())


@dataclass
class _Rows:
    """Inequalities over the unknowns, low <= a v <= high, gathered in blocks."""

    a: list[Array] = field(default_factory=list)
    low: list[Array] = field(default_factory=list)
    high: list[Array] = field(default_factory=list)

    def add(self, a: Array, low: Array | float, high: Array | float) -> None:
        self.a.append(a)
        self.low.append(np.broadcast_to(np.asarray(low, dtype=float), len(a)))
        self.high.append(np.broadcast_to(np.asarray(high, dtype=float), len(a)))


class _Problem:
    """One mixed-integer program: pixels, sizes, the values of ReLUs and their sides, in this order."""

    def __init__(
        self, graph: Graph, region: Region, neurons: Neurons, way: Tensor, lower: float, upper: float, summed: bool
    ) -> None:
        self.pixels = region.x.shape[1]
        self.sizes = self.pixels if summed else 1
        values = {number: low[0].numel() for number, (low, _) in neurons.inputs.items()}
        self.at: dict[int, int] = {}
        free = self.pixels + self.sizes
        for number, count in values.items():
            self.at[number] = free
            free += count
        unstable = {n: ((low < 0) & (high > 0)).flatten() for n, (low, high) in neurons.inputs.items()}
        self.binaries = int(sum(int(each.sum()) for each in unstable.values()))
        self.total = free + self.binaries
        self.low, self.high = np.zeros(self.total), np.ones(self.total)
        low, high = (bound[0].numpy() for bound in region.box)
        self.low[: self.pixels], self.high[: self.pixels] = low, high
        self.rows = _Rows()
        self._size(region.x[0].numpy(), lower, upper, summed)
        side = free
        for number in neurons.inputs:
            side = self._relu(graph, number, neurons, unstable[number], side)
        a, shift = self._linear(graph, graph.last, way)
        self.rows.add(a, -shift, np.inf)

    def _size(self, x: Array, lower: float, upper: float, summed: bool) -> None:
        """|pixel - x| <= size; one size for all pixels, or one each, whose sum counts."""
        d, here = self.pixels, slice(self.pixels, self.pixels + self.sizes)
        for sign in (1.0, -1.0):
            a = np.zeros((d, self.total))
            a[:, :d] = sign * np.eye(d)
            a[:, here] -= np.eye(d) if summed else np.ones((d, 1))
            self.rows.add(a, -np.inf, sign * x)
        self.low[here], self.high[here] = 0.0, upper
        whole = np.zeros((1, self.total))
        whole[:, here] = 1
        self.rows.add(whole, lower, upper)
        self.cost = whole[0]

    def _linear(self, graph: Graph, node: int, rows: Tensor) -> tuple[Array, Array]:
        """Linear functions of a node as rows over the unknowns, and their constants."""
        form = settle(graph, Form.of(node, rows.reshape(-1, *graph.nodes[node].shape)))
        a = np.zeros((len(form), self.total))
        for part, coefficients in form.parts.items():
            begin = 0 if part == 0 else self.at[part]
            flat = coefficients.flatten(1).numpy()
            a[:, begin : begin + flat.shape[1]] += flat
        return a, form.shift.numpy()

    def _relu(self, graph: Graph, number: int, neurons: Neurons, unstable: Tensor, side: int) -> int:
        """The ReLUs of a node: value >= z, and value <= z or <= 0 by its side. Returns the next free side."""
        low, high = (bound[0].flatten() for bound in neurons.inputs[number])
        begin = self.at[number]
        self.high[begin : begin + len(low)] = high.clamp(min=0).numpy()
        alive = (high > 0).nonzero().squeeze(1)
        if not len(alive):
            return side
        z, shift = self._linear(graph, graph.nodes[number].inputs[0], torch.eye(len(low), dtype=low.dtype)[alive])
        value = np.zeros_like(z)
        value[np.arange(len(alive)), begin + alive.numpy()] = 1
        free = unstable[alive].numpy()
        self.rows.add((value - z)[~free], shift[~free], shift[~free])
        self.rows.add((value - z)[free], shift[free], np.inf)
        count = int(free.sum())
        switch = np.zeros((count, self.total))
        switch[np.arange(count), side + np.arange(count)] = 1
        least, most = low[alive].numpy()[free], high[alive].numpy()[free]
        self.rows.add((value - z)[free] - least[:, None] * switch, -np.inf, shift[free] - least)
        self.rows.add(value[free] - most[:, None] * switch, -np.inf, 0.0)
        return side + count

    def solve(self, seconds: float) -> tuple[float, Tensor | None, bool]:
        """(lower bound of the size, the nearest point found, proved). Nothing within reach: (inf, None, True)."""
        try:
            import highspy
        except ImportError:
            raise MissingExtra("the exact smallest perturbation", "certify") from None
        a = np.concatenate(self.rows.a)
        filled = a != 0
        program = highspy.HighsLp()
        program.num_col_, program.num_row_ = self.total, len(a)
        program.col_cost_, program.col_lower_, program.col_upper_ = self.cost, self.low, self.high
        program.row_lower_, program.row_upper_ = np.concatenate(self.rows.low), np.concatenate(self.rows.high)
        program.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        program.a_matrix_.start_ = np.concatenate([[0], filled.sum(1).cumsum()])
        program.a_matrix_.index_ = filled.nonzero()[1]
        program.a_matrix_.value_ = a[filled]
        kinds = [highspy.HighsVarType.kContinuous] * (self.total - self.binaries)
        program.integrality_ = kinds + [highspy.HighsVarType.kInteger] * self.binaries
        solver = highspy.Highs()
        solver.setOptionValue("output_flag", False)
        solver.setOptionValue("threads", 1)
        solver.setOptionValue("time_limit", seconds)
        solver.setOptionValue("mip_rel_gap", TOLERANCE)
        solver.passModel(program)
        solver.run()
        status, info = solver.getModelStatus(), solver.getInfo()
        if status == highspy.HighsModelStatus.kInfeasible:
            return np.inf, None, True
        proved = status == highspy.HighsModelStatus.kOptimal
        bound = info.mip_dual_bound if self.binaries else info.objective_function_value
        has_point = info.primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
        if not has_point:
            return max(0.0, float(bound)), None, False
        point = torch.tensor(solver.getSolution().col_value[: self.pixels], dtype=torch.float64)
        return max(0.0, float(bound)), point, proved
