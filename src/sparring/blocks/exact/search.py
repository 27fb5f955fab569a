"""Does a ball hold a point where one of some linear functions of the logits is not negative? Branch and bound.

The ball is cut by the signs of unstable ReLUs until each part is proved empty (beta-CROWN, `bounds.split`), or the
point that looks worst in a part is one. Wang et al. 2021, arXiv:2103.06624. For a small net that is some ten times
quicker than a mixed-integer program.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.bounds.backward import Form, settle
from sparring.bounds.ball import Region
from sparring.bounds.crown import crown_margins, crown_neurons
from sparring.bounds.graph import Graph
from sparring.bounds.rounding import spread_errors
from sparring.bounds.split import Splitter

ROOT_STEPS, STEPS, LEAF_STEPS = 50, 15, 200
"""of ascent for the whole ball, for a part, and for a part in which every ReLU is settled"""
LEAF_ROUNDS = 8
"of so many steps, each at the full rate again"
PARTS = 128
"that are bounded at once"


@dataclass(frozen=True)
class Reach:
    """Whether a ball holds such a point: one of them, [d], or none; `settled` False = it is not known."""

    point: Tensor | None
    settled: bool


def search(graph: Graph, region: Region, rows: Tensor, deadline: float) -> Reach:
    """Look for a point of the region with rows @ logits >= 0 for one of the rows.

    Args:
        graph: in float64. region: of one image. rows: [R, K]. deadline: by `time.perf_counter`.
    """
    neurons = crown_neurons(graph, region)
    same = torch.zeros(len(rows), dtype=torch.int64)
    threshold = float(spread_errors(graph, *region.box)[-1].max()) * torch.finfo(rows.dtype).eps
    open_ = (crown_margins(graph, region, neurons, -rows, same) <= threshold).nonzero().squeeze(1)
    if not len(open_):
        return Reach(None, True)
    some = same[open_]
    splitter = Splitter(graph, region[some], settle(graph, Form.of(graph.last, -rows[open_])), neurons[some])
    whole = splitter.whole()
    for first in torch.split(whole.pair, PARTS):
        waiting, steps = whole[first], ROOT_STEPS
        while len(waiting):
            order = torch.arange(len(waiting))
            found, points, _ = splitter.bound(waiting[order[:PARTS]], steps)
            left = found[found.bound <= threshold]
            leaves = left.choice < 0
            for again in range(LEAF_ROUNDS * bool(leaves.any())):
                # Every ReLU is settled: only the multipliers are not at their best yet, or a point fools.
                more, last, mean = splitter.bound(left[leaves], LEAF_STEPS)
                points = torch.cat([points, last, mean])
                if bool((more.bound > threshold).all()):
                    break
                if again == LEAF_ROUNDS - 1:
                    return Reach(_fooling(graph, rows, points), False)
            point = _fooling(graph, rows, points)
            if point is not None:
                return Reach(point, True)
            if time.perf_counter() > deadline:
                return Reach(None, False)
            waiting, steps = left[~leaves].children() + waiting[order[PARTS:]], STEPS
    return Reach(None, True)


def _fooling(graph: Graph, rows: Tensor, points: Tensor) -> Tensor | None:
    """The point [d] of those [P, d] that goes furthest, if it fools."""
    values = (graph.value(points.reshape(-1, *graph.nodes[0].shape)) @ rows.T).amax(1)
    furthest = int(values.argmax())
    return points[furthest] if float(values[furthest]) >= 0 else None
