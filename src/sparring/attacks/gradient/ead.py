"""EAD: the elastic net, squared L2 plus a share of L1, against c times the missing margin, by shrinking steps.

    x_{k+1} = S(y_k - a_k * grad [c * max(confidence - margin, 0) + |. - x|_2^2](y_k)),   a_k = lr * sqrt(1 - k / steps)
    y_{k+1} = P(x_{k+1} + k / (k + 3) * (x_{k+1} - x_k))

S moves every pixel towards the image by beta box widths, not beyond it, and into the box; P is the box. Chen, Sharma,
Zhang, Yi, Hsieh 2018, arXiv:1709.04114.

Differs from the paper: 200 steps a constant (the paper's: 1,000); beta, in box widths, is 0.01 (the paper compares
several); y_k is kept inside the box and is the point that is shown and judged (there: outside, and x_k costs a pass of
its own); the first c comes from the gradient at the image (the paper's: c=0.001), so that the scale of the logits does
not matter; a search step goes on from the nearest success so far. The decision rule says what nearest is: "en",
|d|_2^2 + beta * |d|_1, or "l1". That point is handed over, so keep="last" reports the rule's choice; as always, the
least L1 of all that was seen is reported otherwise, which is no worse than either.
Fails on: gradients that are zero or mislead.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Literal

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.penalty.constants import Ledger, first_constant, search_constant
from sparring.blocks.penalty.descent import hinge
from sparring.bout import Bout
from sparring.norms import L1, L2


@register(
    "ead",
    title="EAD",
    sees="gradient",
    norms=(L1,),
    aim="minimum",
    year=2017,
    paper="arXiv:1709.04114",
    aliases=("elastic-net",),
    peers=("foolbox", "torchattacks", "art"),
    survey="Elastic-Net Attack (EAD) [30]",
)
class EAD(Attack):
    """Elastic-net attack: few pixels by shrinkage (Chen et al. 2018).

    Args:
        steps: of each search step. search: how many constants are tried. beta: the weight of L1; what a step shrinks,
            in widths of the box.
        rule: which success a search step goes on from, and hands over. lr: the length of the first step.
        c: the first constant; None = from the gradient at the image. confidence: the margin that the search is after.
    """

    steps: PositiveInt = 200
    search: PositiveInt = 9
    beta: NonNegativeFloat = 0.01
    rule: Literal["en", "l1"] = "l1"
    lr: PositiveFloat = 0.01
    c: PositiveFloat | None = None
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> None:
        search_constant(bout, first_constant(bout, self.c, times=10.0), self.search, partial(_shrink, how=self))


def _shrink(bout: Bout, start: Tensor, size: Tensor, c: Tensor, _: Any, how: EAD) -> tuple[Tensor, Tensor, Tensor]:
    """One run with constants `c` [b]: FISTA."""
    ledger, square = Ledger(start, size), float(how.rule == "en")
    shrinks = how.beta * bout.ball.width
    x_k = y_k = start
    at = torch.arange(len(c), device=c.device)
    for k in range(how.steps):
        _, slope, enough = hinge(bout, y_k, how.confidence)
        d = y_k - bout.x
        ledger.note(at, y_k, square * L2.size(d).square() + shrinks**square * L1.size(d), enough)
        a = how.lr * (1 - k / how.steps) ** 0.5
        d = d - a * (2 * d + bout.ball.column(c) * slope)
        last, x_k = x_k, bout.ball.clip(bout.x + L1.prox(d, torch.full_like(c, shrinks)))
        y_k = bout.ball.clip(x_k + k / (k + 3) * (x_k - last))
        x_k, y_k, c, at = bout.active(x_k, y_k, c, at)
        if not len(bout):
            break
    return ledger.outcome
