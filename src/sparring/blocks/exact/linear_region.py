"""The nearest point that fools among those that switch a ReLU net's units like a known one: a linear program.

Where no ReLU changes its side the net is linear, so the nearest point of that region is found exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.exact.program import Array, Program
from sparring.bounds.backward import Form, Lines, pull_back
from sparring.bounds.graph import Graph
from sparring.norms import L1

SECONDS = 10.0
"for one program; it takes some tenths of one"


def descended(graph: Graph, ball: Ball, ways: Sequence[Tensor], point: Tensor) -> tuple[float, Tensor] | None:
    """(size, point [d]) of the nearest one in the linear region of `point` [d]; None where no way is reached there.

    Args:
        graph: in float64. ball: one row, L1 or Linf; its radius is left out. ways: matrices [m, K], reached where all
            of M z >= 0; of several, the one that the point reaches by most.
    """
    values = graph.values(point.reshape(1, *graph.nodes[0].shape))
    logits = values[-1][0]
    way = max(ways, key=lambda each: float((each @ logits).min()))
    lines: dict[int, Lines] = {}
    rows: list[Tensor] = []
    shift: list[Tensor] = []
    for number in graph.relus:
        before = graph.nodes[number].inputs[0]
        on = (values[before] > 0).double()
        a, constant = _linear(graph, before, torch.eye(prod(graph.nodes[before].shape), dtype=torch.float64), lines)
        side = 2 * on.flatten() - 1
        rows.append(a * side[:, None])
        shift.append(constant * side)
        lines[number] = Lines(on, on, torch.zeros_like(on))
    a, constant = _linear(graph, graph.last, way, lines)
    return _solved(ball, torch.cat([*rows, a]).numpy(), torch.cat([*shift, constant]).numpy())


def _linear(graph: Graph, node: int, rows: Tensor, lines: dict[int, Lines]) -> tuple[Tensor, Tensor]:
    """Linear functions of a node as those of the pixels, in this region: a [m, d] and the constants [m]."""
    form = Form.of(node, rows.reshape(-1, *graph.nodes[node].shape))
    everyone = torch.zeros(len(rows), dtype=torch.int64)
    pulled = pull_back(graph, form, {number: line[everyone] for number, line in lines.items() if number <= node})
    return pulled.a, pulled.shift


def _solved(ball: Ball, a: Array, shift: Array) -> tuple[float, Tensor] | None:
    """The nearest point with a z + shift >= 0."""
    x, (low, high) = ball.x[0].flatten().double().numpy(), ball.box
    free = (ball.high - ball.low)[0].flatten().numpy() > 0  # pixels outside of the threat's region stay
    rise, fall = np.where(free, high - x, 0.0).clip(0), np.where(free, x - low, 0.0).clip(0)
    program, d = Program(), len(x)
    summed = ball.norm is L1
    moves = program.columns(np.zeros(2 * d), np.concatenate([rise, fall]), cost=float(summed))
    program.rows([(moves, np.concatenate([a, -a], 1))], -shift - a @ x, np.inf)
    if not summed:
        size = program.columns(np.zeros(1), np.full(1, high - low), cost=1.0)
        program.rows([(moves, np.concatenate([np.eye(d), np.eye(d)], 1)), (size, -np.ones((d, 1)))], -np.inf, 0.0)
    solved = program.solve(SECONDS)
    if solved.values is None or not solved.proved:
        return None
    moved = solved.values[:d] - solved.values[d : 2 * d]
    return float(np.abs(moved).sum() if summed else np.abs(moved).max()), torch.from_numpy(x + moved)
