"""OptMargin: C&W L2 for points that fool together with their surroundings, not just barely.

    min over w of  |z - x|_2^2 + c * sum_i max(confidence - margin(z + v_i), 0),   z = (tanh(w) + 1) / 2

by Adam; v_0 = 0, the others orthogonal, of `radius` a pixel (root of the mean square), clipped to the box.
He, Li & Song 2018, ICLR ("Decision boundary analysis of adversarial examples", openreview:BkpiPMbA-).

Differs from the paper: each sample has its own directions; the first c comes from the gradient, and each search step
goes on from the nearest point that was enough (`blocks.penalty.constants`). Success is to fool, and the nearest success
is reported: ask for keep="last" to get the point that fools together with its surroundings.
Fails on: gradients that are zero or mislead; each step costs `copies` queries and gradients.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.penalty.constants import first_constant, search_constant
from sparring.blocks.penalty.descent import Short, descend, hinge
from sparring.blocks.views.shift import Shift, orthogonal
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "optmargin",
    title="OptMargin",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    year=2018,
    paper="openreview:BkpiPMbA-",
    aliases=("opt-margin",),
    random=True,
    survey="OptMargin [76]",
)
class OptMargin(Attack):
    """Points that still fool when they are moved a little, in any direction (He, Li & Song 2018).

    Args:
        steps: the most of each search step; the paper's are 1,000. search: how many constants are tried.
        copies: points that all have to fool, the image itself and copies - 1 around it.
        radius: how far they are moved, a pixel, in widths of the box.
        lr: of Adam. c: the first constant; None = from the first gradient. confidence: the margin that is asked for.
    """

    steps: PositiveInt = 200
    search: PositiveInt = 4
    copies: PositiveInt = 20
    radius: PositiveFloat = 0.3
    lr: PositiveFloat = 0.1
    c: PositiveFloat | None = None
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> None:
        ask = partial(_ask, confidence=self.confidence)
        search_constant(
            bout,
            first_constant(bout, self.c),
            self.search,
            partial(descend, steps=self.steps, lr=self.lr, ask=ask),
            orthogonal(bout, self.copies - 1, self.radius),
        )


def _ask(bout: Bout, z: Tensor, around: Tensor, confidence: float) -> Short:
    """What the point and its copies are short of, together."""
    parts = [hinge(bout, z, confidence)]
    for shift in around.unbind(1):
        parts.append(hinge(bout, z, confidence, Shift(shift, bout.ball.box)))
    missing, slope, enough = zip(*parts, strict=True)
    return Short(torch.stack(missing).sum(0), torch.stack(slope).sum(0), torch.stack(enough).all(0))
