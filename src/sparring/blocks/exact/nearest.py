"""The nearest point that fools a ReLU net: proven, or with a lower bound. With HiGHS.

Two questions take turns:

- Is there a point inside a ball of a fixed radius that fools? Most balls are proved empty: growing ones first, a half
  and nine tenths of the size that is known, then all of it. By branch and bound (`search`); what that leaves open, and
  what must exceed all other classes at once, by mixed-integer programming with one binary for each ReLU that CROWN
  leaves unstable (Tjeng, Xiao & Tedrake 2019, arXiv:1711.07356).
- What is the nearest such point among those that switch the same ReLUs as a known one (`linear_region`)? A linear
  program, so it is exact, and each point that the first question finds makes the next ball smaller.

Differs from the paper: it minimises the size in one program. With a fixed radius the norm is bounds of variables, not
two rows a pixel.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.exact.linear_region import descended
from sparring.blocks.exact.program import Array, Program
from sparring.blocks.exact.search import Reach, search
from sparring.bounds.backward import Form, settle
from sparring.bounds.ball import Region
from sparring.bounds.crown import Neurons, crown_margins, crown_neurons
from sparring.bounds.graph import Graph
from sparring.norms import L1
from sparring.threat import Goal

CAPS = (0.5, 0.9, 1.0)
TOLERANCE = 1e-6
"of HiGHS: its points and bounds are that exact; a size is proved up to it"


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


def nearest(
    graph: Graph, ball: Ball, ways: Sequence[Tensor], size: float, seconds: float, start: Tensor | None = None
) -> Nearest:
    """The nearest point of one image that reaches one of the ways.

    Args:
        graph: in float64. ball: one row; its norm is L1 or Linf. ways: see `claims`. size: nothing beyond is looked
            for; where an attack has been, or as far as the threat goes.
        seconds: for all of it. start: [1, ...] the point of that attack, from which to go on.

    Raises:
        MissingExtra: HiGHS is not installed.
    """
    deadline, lower = time.perf_counter() + seconds, 0.0
    points: list[Tensor] = []

    def improve(point: Tensor) -> bool:
        """Go down from a point to the nearest one of its linear region, or take it as it is: is that nearer?"""
        nonlocal size
        known = [descended(graph, ball, ways, point)]
        if _fools(graph, ways, point):
            known.append((float(ball.norm.size(point[None] - ball.x.flatten(1))), point))
        size_here, here = min((each for each in known if each is not None), default=(np.inf, point), key=_first)
        if size_here >= size:
            return False
        better = size_here < size - TOLERANCE / 2
        size = size_here
        points.append(here)
        return better

    if start is not None:
        improve(start.double().flatten())
    caps = list(CAPS)
    while caps:
        limit = size * caps[0] - TOLERANCE * (caps[0] == 1)
        found = reachable(graph, ball, ways, limit, deadline) if limit > lower else Reach(None, True)
        if not found.settled:
            return Nearest(lower, _shaped(points, ball), False)
        if found.point is None or not improve(found.point):  # what only tolerances let in is nowhere nearer
            lower = max(lower, limit)
            caps.pop(0)
        else:
            caps = [cap for cap in CAPS if cap * size > lower] or [1.0]
    return Nearest(lower, _shaped(points, ball), True)


def stretched(x: Tensor, points: Tensor) -> Iterator[Tensor]:
    """Points a little farther from x than those given, which lie on the boundary itself: farther each time."""
    for extra in (0.0, 1e-6, 1e-5, 1e-4, 1e-3):
        yield x + (points - x) * (1 + extra)


def reachable(graph: Graph, ball: Ball, ways: Sequence[Tensor], eps: float, deadline: float) -> Reach:
    """Is one of the ways reached inside the ball of this radius?"""
    region = Region.of(ball.with_eps(torch.full_like(ball.eps, eps))).to(torch.float64)
    single = [way for way in ways if len(way) == 1]
    if single:
        found = search(graph, region, torch.cat(single), deadline)
        if found.point is not None or (found.settled and len(single) == len(ways)):
            return found
        ways = ways if not found.settled else [way for way in ways if len(way) > 1]
    return by_program(graph, region, ways, ball.norm is L1, deadline)


def by_program(
    graph: Graph, region: Region, ways: Sequence[Tensor], summed: bool, deadline: float, slack: float = 0.0
) -> Reach:
    """Is one of the ways reached inside the region, or missed by at most `slack`? By mixed-integer programming.

    Args:
        region: of one image, in float64. ways: rows [m, K] each; a way is reached where way @ logits >= 0. summed: the
            region is an L1 ball. deadline: by `time.perf_counter`.
    """
    neurons = crown_neurons(graph, region)
    settled = True
    for way in ways:
        if _out_of_reach(graph, region, neurons, way, slack):
            continue
        solved = _margin_program(graph, region, neurons, way, summed, slack).solve(deadline - time.perf_counter())
        if solved.values is not None:
            return Reach(_pixels(solved.values, region, summed), True)
        settled = settled and solved.proved
    return Reach(None, settled)


def _fools(graph: Graph, ways: Sequence[Tensor], point: Tensor) -> bool:
    """One of the ways is reached at a point [d]."""
    logits = graph.value(point.reshape(1, *graph.nodes[0].shape))[0]
    return any(bool((way @ logits >= 0).all()) for way in ways)


def _first(pair: tuple[float, Tensor]) -> float:
    return pair[0]


def _shaped(points: list[Tensor], ball: Ball) -> Tensor:
    """The nearest of the points, as an image of the ball's: [1, ...] or none."""
    return points[-1].reshape(ball.x.shape).to(ball.x.dtype) if points else ball.x[:0]


def _out_of_reach(graph: Graph, region: Region, neurons: Neurons, way: Tensor, slack: float) -> bool:
    """Bounds alone say that one of its inequalities holds nowhere."""
    owner = torch.zeros(len(way), dtype=torch.int64)
    return bool((crown_margins(graph, region, neurons, -way, owner) > slack).any())


def _margin_program(graph: Graph, region: Region, neurons: Neurons, way: Tensor, summed: bool, slack: float) -> Program:
    """Unknowns: the pixels (L1: what each rises and falls by), the values of ReLUs, the margin, and then the sides.

    The margin is the least of way @ logits; it must not be below -slack, and is to be as large as possible.
    """
    program = Program()
    x = region.x[0].numpy()
    if summed:
        pixels = program.columns(np.zeros(2 * len(x)), np.concatenate([region.high[0].numpy(), -region.low[0].numpy()]))
        program.rows([(pixels, np.ones((1, 2 * len(x))))], -np.inf, float(region.eps[0]))
    else:
        lowest, highest = (bound[0].numpy() for bound in region.box)
        pixels = program.columns(lowest, highest)
    at = {0: pixels}

    def linear(node: int, rows: Tensor) -> tuple[list[tuple[int, Array]], Array]:
        """Linear functions of a node as blocks of coefficients, and their constants."""
        form = settle(graph, Form.of(node, rows.reshape(-1, *graph.nodes[node].shape)))
        shift, blocks = form.shift.numpy(), []
        for part, coefficients in form.parts.items():
            a = coefficients.flatten(1).numpy()
            if part == 0 and summed:
                shift, a = shift + a @ x, np.concatenate([a, -a], 1)
            blocks.append((at[part], a))
        return blocks, shift

    for number, (low, high) in neurons.inputs.items():
        low, high = low[0].flatten(), high[0].flatten()
        at[number] = program.columns(np.zeros(len(low)), high.clamp(min=0).numpy())
        alive = (high > 0).nonzero().squeeze(1)
        if not len(alive):
            continue
        eye = torch.eye(len(low), dtype=low.dtype)[alive]
        z, shift = linear(graph.nodes[number].inputs[0], eye)
        above = [(first, -a) for first, a in z] + [(at[number], eye.numpy())]  # the ReLU's value minus its input
        free = (low[alive] < 0).numpy()
        program.rows(_some(above, ~free), shift[~free], shift[~free])
        program.rows(_some(above, free), shift[free], np.inf)
        sides = program.columns(np.zeros(free.sum()), np.ones(free.sum()), whole=True)
        least, most = (np.diag(bound[alive].numpy()[free]) for bound in (low, high))
        program.rows([*_some(above, free), (sides, -least)], -np.inf, shift[free] - least.diagonal())
        program.rows([(at[number], eye.numpy()[free]), (sides, -most)], -np.inf, 0.0)
    margin = program.columns(np.full(1, -slack), np.full(1, np.inf), cost=-1.0)
    logits, shift = linear(graph.last, way)
    program.rows([*logits, (margin, -np.ones((len(way), 1)))], -shift, np.inf)
    return program


def _some(blocks: list[tuple[int, Array]], rows: Array) -> list[tuple[int, Array]]:
    return [(first, a[rows]) for first, a in blocks]


def _pixels(values: Array, region: Region, summed: bool) -> Tensor:
    """The point [d] of a solution."""
    count = region.x.shape[1]
    if not summed:
        return torch.from_numpy(values[:count])
    return region.x[0] + torch.from_numpy(values[:count] - values[count : 2 * count])
