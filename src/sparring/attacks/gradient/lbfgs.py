"""L-BFGS: the first attack of all: distance plus c times a smooth loss, in the box, by a quasi-Newton method.

    min over z in the box of  |z - x|_2^2 + c * s * log(1 + exp(-margin(z) / s))

c is searched for each sample: the smallest whose minimiser fools. Szegedy et al. 2013, arXiv:1312.6199.

Differs from the paper: the loss is the cross-entropy between the class that counts and its strongest rival (with two
classes: the paper's), which does not die where softmax saturates and serves untargeted goals as well; logits are taken
in units s, a share of the margin of the clean image, so their scale does not matter; squared L2 as everybody
has it; each run goes on from the nearest success so far; each row has a curvature and a line search of its own.
Fails on: gradients that are zero or mislead; it needs memory for 20 images a row.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.penalty.constants import Ledger, first_constant, search_constant
from sparring.blocks.penalty.lbfgs import Lbfgs
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L2


@register(
    "lbfgs",
    title="L-BFGS",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    year=2013,
    paper="arXiv:1312.6199",
    aliases=("l-bfgs", "box-lbfgs", "szegedy"),
    survey="L-BFGS [175]",
)
class LBFGS(Attack):
    """Box-constrained L-BFGS on distance plus a smooth penalty (Szegedy et al. 2013).

    Args:
        steps: looks of each search step. search: how many constants are tried.
        c: the first constant; None = from the gradient at the image.
        softness: the unit s, as a share of how far the clean logits are from fooling.
    """

    steps: PositiveInt = 50
    search: PositiveInt = 9
    c: PositiveFloat | None = None
    softness: PositiveFloat = 0.05

    def run(self, bout: Bout) -> None:
        unit = (-self.softness * bout.goal.margin(bout.clean_logits)).clamp(min=1e-12)
        search_constant(bout, first_constant(bout, self.c), self.search, partial(_minimise, steps=self.steps), unit)


def _minimise(
    bout: Bout, start: Tensor, size: Tensor, c: Tensor, unit: Tensor, steps: int
) -> tuple[Tensor, Tensor, Tensor]:
    """One run with constants `c` [b]."""
    ledger, at = Ledger(start, size), torch.arange(len(c), device=c.device)
    z, state = start, None
    for _ in range(steps):
        gap, g = bout.value_and_grad(z, margin)
        d = z - bout.x
        ledger.note(at, z, L2.size(d), gap > 0)
        value = d.square().flatten(1).sum(1) + c * unit * F.softplus(-gap / unit)
        slope = 2 * d - bout.ball.column(c * (-gap / unit).sigmoid().nan_to_num(0.0)) * g
        low, high = bout.ball.clip(bout.x + bout.ball.low), bout.ball.clip(bout.x + bout.ball.high)
        updated = Lbfgs.start(z, value, slope, low, high) if state is None else state.update(z, value, slope, low, high)
        state, c, unit, at = bout.active(updated, c, unit, at, done=updated.over)
        if not len(bout):
            break
        z = state.trial(bout.x + bout.ball.low, bout.x + bout.ball.high)
    return ledger.outcome
