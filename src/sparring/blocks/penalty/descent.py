"""Descent on a penalty in tanh space: how far away, plus c times what is missing to fool. What C&W's attacks share.

    min over w of  |z - x|_2^2 + c * missing(z),   z = (tanh(w) + 1) / 2 in the box,   by Adam

Carlini & Wagner 2017, arXiv:1608.04644.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.directions import Memory, adam
from sparring.blocks.penalty.constants import Ledger
from sparring.blocks.penalty.tanh_box import TanhBox
from sparring.bout import Bout, View
from sparring.kernels import nonzero
from sparring.losses import margin
from sparring.norms import L2

FASTEST = 0.1
"the largest rate that is chosen: a tenth of tanh's range a step"
DRAWN_IN = 0.1
"of the rate: how far pixels are drawn in off their bounds, less than a step moves them"


class Short(NamedTuple):
    """What a point is short of fooling: [b] how much, the gradient of that [b, ...], bool [b] nothing at all."""

    missing: Tensor
    slope: Tensor
    enough: Tensor


class _State(NamedTuple):
    """One run, per row.

    Attributes:
        w: the point in tanh space [b, ...]. c: [b] the weight of what is missing. lr: [b] Adam's rate.
        extra: what `ask` needs. at: [b] the row's number in the ledger.
        lowest: [b] the lowest cost. age: [b] steps since it was set.
    """

    w: Tensor
    c: Tensor
    lr: Tensor
    extra: Any
    at: Tensor
    lowest: Tensor
    age: Tensor


def hinge(bout: Bout, z: Tensor, confidence: float = 0.0, view: View | None = None) -> Short:
    """max(confidence - margin, 0), the f of C&W, at `z`, or at a `view` of it: one query and one gradient."""
    gap, g = bout.value_and_grad(z, margin, view)
    enough = gap > confidence
    return Short((confidence - gap).clamp(min=0), torch.where(bout.ball.column(enough), 0, -g), enough)


def through(box: TanhBox, z: Tensor, slope: Tensor) -> Tensor:
    """A gradient in pixels at `z` as one in w."""
    return slope * (box.half - (z - box.middle).square() / box.half)


def loose(box: TanhBox, z: Tensor, by: float | Tensor) -> Tensor:
    """w of `z`, drawn in by a share of the box, one for all or a column.

    The nearer a pixel is to its bound, the longer it takes to leave it.
    """
    return box.inverse(box.middle + (1 - by) * (z - box.middle))


def rate_for(ball: Ball, away: Tensor) -> Tensor:
    """[b] a rate for Adam in tanh space with which its first steps go about so far: `away` [b], in the ball's norm.

    A rate that does for digits, whose boundary is far, leaps over one a hundred times nearer and does not find back.
    """
    across = ball.norm.size((ball.high > ball.low).to(ball.x.dtype)) * ball.width / 2
    return torch.minimum(away / nonzero(across), torch.full_like(away, FASTEST))


def refresh(memory: Memory, rows: Tensor, bout: Bout) -> Memory:
    """The memory of a rule, emptied for some rows: bool [b]."""
    return {
        name: torch.where(bout.ball.column(rows) if value.dim() > 1 else rows, 0, value)
        for name, value in memory.items()
    }


def descend(
    bout: Bout,
    start: Tensor,
    size: Tensor,
    c: Tensor,
    extra: Any,
    steps: int,
    lr: float | Tensor,
    ask: Callable[[Bout, Tensor, Any], Short],
) -> tuple[Tensor, Tensor, Tensor]:
    """A run for `search_constant`: `steps` of Adam at the rate `lr`, one for all or [b].

    A row leaves when its cost has set no new low, by 0.01 %, for a fifth of the steps.

    Args:
        ask: (bout, points, extra) -> what they are short of.
    """
    box = TanhBox(bout.ball.box)
    rule = adam()
    memory: Memory = {}
    ledger = Ledger(start, size)
    rows = torch.arange(len(c), device=c.device)
    rate = torch.zeros_like(c) + lr
    loosened = loose(box, start, bout.ball.column((DRAWN_IN * rate).clamp(max=0.001)))
    row = _State(loosened, c, rate, extra, rows, torch.full_like(c, torch.inf), torch.zeros_like(c))
    for _ in range(steps):
        z = bout.ball.restrict_to_region(box(row.w))
        missing, slope, enough = ask(bout, z, row.extra)
        distance = L2.size(z - bout.x)
        ledger.note(row.at, z, distance, enough)
        cost = distance.square() + row.c * missing
        lower = cost < row.lowest * (1 - 1e-4)
        slope = through(box, z, 2 * (z - bout.x) + bout.ball.column(row.c) * slope) / bout.ball.width**2
        direction, memory = rule(slope, memory)
        row = row._replace(
            w=row.w - bout.ball.column(row.lr) * direction,
            lowest=torch.where(lower, cost, row.lowest),
            age=torch.where(lower, 0, row.age + 1),
        )
        row, memory = bout.active(row, memory, done=row.age >= max(steps // 5, 1))
        if not len(bout):
            break
    return ledger.outcome
