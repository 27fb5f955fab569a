"""Descent on a penalty in tanh space: how far away, plus c times what is missing to fool. What C&W's attacks share.

    min over w of  |z - x|_2^2 + c * missing(z),   z = (tanh(w) + 1) / 2 in the box,   by Adam

Carlini & Wagner 2017, arXiv:1608.04644.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparring.blocks.bisect import Bisect
from sparring.blocks.rules import Memory, adam
from sparring.blocks.tanh_box import TanhBox
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L2


class Short(NamedTuple):
    """What a point is short of fooling: [b] how much, the gradient of that [b, ...], bool [b] nothing at all."""

    missing: Tensor
    slope: Tensor
    enough: Tensor


Ask = Callable[[Bout, Tensor, Any], Short]
"""How a search asks: (bout, points, what else it carries) -> what they are short of."""


def hinge(bout: Bout, z: Tensor, confidence: float) -> Short:
    """max(confidence - margin, 0), the f of C&W, at `z`: one query and one gradient."""
    gap, g = bout.value_and_grad(z, margin)
    enough = gap > confidence
    return Short((confidence - gap).clamp(min=0), torch.where(bout.ball.column(enough), 0, -g), enough)


def fair_constant(bout: Bout) -> Tensor:
    """[b] a c to begin with: three times what a linear model would need, 2 * missing / |gradient|_2^2.

    Logits that are a hundred times larger, as those of a distilled net, have a c that is a hundred times smaller. One
    query and one gradient; 1 where the gradient is zero.
    """
    gap, g = bout.value_and_grad(bout.x, margin)
    fair = -6 * gap / L2.size(g).square()
    return torch.where((fair > 0) & fair.isfinite(), fair, 1.0)


def through(box: TanhBox, z: Tensor, slope: Tensor) -> Tensor:
    """A gradient in pixels `z` as one in w."""
    return slope * (box.half - (z - box.middle).square() / box.half)


def loose(box: TanhBox, z: Tensor, by: float) -> Tensor:
    """w of `z` drawn in by a share of the box: the nearer a pixel is to its bound, the more steps it takes to leave it."""
    return box.inverse(box.middle + (1 - by) * (z - box.middle))


def refresh(memory: Memory, rows: Tensor, bout: Bout) -> Memory:
    """The memory of a rule, empty again for some rows, bool [b]."""
    return {
        name: torch.where(bout.ball.column(rows) if value.dim() > 1 else rows, 0, value)
        for name, value in memory.items()
    }


def search_constant(
    bout: Bout, c: float | None, rounds: int, steps: int, lr: float, ask: Ask, extra: Any = None
) -> None:
    """Runs of `descend` with a constant c that is searched for each row: the smallest that still pulls it over.

    Each run goes on from the nearest point that was enough, else from where the last one ended; the first begins at the
    nearest success of this call, else at the clean image. After each, that point is handed over.

    Args:
        c: the first one; None = `fair_constant`.
        ask: (bout, points, extra) -> what they are short of. extra: a nest of tensors [b, ...] that it needs.
    """
    first = fair_constant(bout) if c is None else torch.full_like(bout.eps, c)
    state = Bisect.start(first, 0)._replace(value=first), bout.found[0], torch.full_like(first, torch.inf), extra
    for k in range(rounds):
        constant, z, size, extra = bout.standing(*state)
        if not len(bout):
            break
        works, z, size = descend(bout.part(k), z, size, constant.value, steps, lr, ask, extra)
        state = bout.standing(constant.tell(works), z, size, extra)
        bout.visit(state[1])


def descend(
    bout: Bout, z: Tensor, size: Tensor, c: Tensor, steps: int, lr: float, ask: Ask, extra: Any = None
) -> tuple[Tensor, Tensor, Tensor]:
    """One run from the points `z` [b, ...] with one constant `c` [b] a row.

    A row leaves when its cost has set no new low, by 0.01 %, for a fifth of the steps.

    Args:
        size: [b] the L2 size of `z` where it is enough, else infinite. ask, extra: see `search_constant`.

    Returns:
        bool [b]: c is large enough: it pulled back a row that was short, or held it to the end.
        [b, ...] and [b]: the nearest point that is enough and its L2 size; where there is none: the last, and infinity.
    """
    box, rule = TanhBox(bout.ball.box), adam()
    z, size, works, ends = z.clone(), size.clone(), torch.zeros_like(c) > 0, torch.zeros_like(c) > 0
    row = {
        "w": loose(box, z, 0.001), "c": c, "at": torch.arange(len(c), device=c.device), "extra": extra,
        "low": torch.full_like(c, torch.inf), "age": torch.zeros_like(c), "short": works,
    }  # fmt: skip
    memory: Memory = {}
    for _ in range(steps):
        point, at = bout.ball.confine(box(row["w"])), row["at"]
        missing, slope, enough = ask(bout, point, row["extra"])
        far = L2.size(point - bout.x)
        take = (enough & (far < size[at])) | size[at].isinf()
        z[at[take]], size[at[take]] = point[take], torch.where(enough, far, torch.inf)[take]
        works[at] |= enough & row["short"]
        ends[at], row["short"] = enough, ~enough
        cost = far.square() + row["c"] * missing
        lower = cost < row["low"] * (1 - 1e-4)
        row["low"] = torch.where(lower, cost, row["low"])
        row["age"] = torch.where(lower, 0, row["age"] + 1)
        g = 2 * (point - bout.x) + bout.ball.column(row["c"]) * slope
        direction, memory = rule(through(box, point, g), memory)
        row["w"] = row["w"] - lr * direction
        row, memory = bout.standing(row, memory, done=row["age"] >= max(steps // 5, 1))
        if not len(bout):
            break
    return works | ends, z, size
