"""alpha-CROWN: the slopes of the lines below the ReLUs, optimised row by row. Xu et al. 2021, arXiv:2011.13824.

Any slope from 0 to 1 gives a sound bound, so gradient ascent may go where it likes and the best bound is kept.
Differs from the paper: the bounds of the neurons stay those of CROWN; only the slopes for the margins are optimised.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sparring.bounds.backward import Form, Lines, chunks, least, pull_back, settle
from sparring.bounds.ball import Region
from sparring.bounds.graph import Graph

STEPS = 20
RATE = 0.25
"of Adam; falls by DECAY each step"
DECAY = 0.95


def alpha_margins(
    graph: Graph, region: Region, lines: Mapping[int, Lines], rows: Tensor, owner: Tensor, steps: int = STEPS
) -> Tensor:
    """[R] lower bounds of the rows, each with slopes of its own; no looser than CROWN's.

    Args:
        lines: around each ReLU, an image each. steps: of gradient ascent.
    """
    if not graph.relus:  # linear: there is no slope to choose
        return least(graph, Form.of(graph.last, rows), owner, lines, region)
    parts = chunks(graph, len(rows), copies=2 * len(graph.relus) + 2)
    found = [_ascend(graph, region[owner[p]], _rows(lines, owner[p]), rows[p], steps) for p in parts]
    return torch.cat(found) if found else rows.new_zeros(0)


def _rows(lines: Mapping[int, Lines], owner: Tensor) -> dict[int, Lines]:
    return {number: around[owner] for number, around in lines.items()}


def _ascend(graph: Graph, region: Region, lines: Mapping[int, Lines], rows: Tensor, steps: int) -> Tensor:
    free = {number: (line.above > 0) & (line.above < 1) for number, line in lines.items()}
    slopes = {number: line.below.clone().requires_grad_() for number, line in lines.items()}
    form = settle(graph, Form.of(graph.last, rows))
    best = rows.new_full((len(rows),), -torch.inf)
    adam = torch.optim.Adam(slopes.values(), lr=RATE, maximize=True)
    for number in range(steps + 1):
        with torch.enable_grad():
            held = {
                key: Lines(torch.where(free[key], slopes[key], line.below), line.above, line.shift)
                for key, line in lines.items()
            }
            pulled = pull_back(graph, form, held)
            bound = region.least(pulled.a) + pulled.shift
            total = bound.sum()
        best = torch.maximum(best, bound.detach())
        if number == steps:
            break
        adam.zero_grad()
        torch.autograd.backward(total, inputs=list(slopes.values()))
        adam.step()
        with torch.no_grad():
            for slope in slopes.values():
                slope.clamp_(0, 1)
        for group in adam.param_groups:
            group["lr"] *= DECAY
    return best
