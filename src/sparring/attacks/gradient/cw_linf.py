"""C&W Linf: a penalty on what exceeds a threshold, and a threshold that sinks with every success.

    min over w of  sum_i max(|z_i - x_i| - tau, 0) + c * max(-margin(z), 0),   z = (tanh(w) + 1) / 2

by Adam, anew after every event: a nearer success lowers tau to (1 - gap) times its size; `steps` without one double c.
Each goes on where the last one ended. Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: every sample has a tau, a c and a clock of its own; after the first success, time out halves the
gap and the rate too (there: both stay, so the answer is rough by a tenth); only a nearer success lowers tau (there: any
that fools, even far above it); it does not end at a threshold of 1/256, one step of 8-bit pixels; the first c and
rate come from the gradient at the image, so that neither the scale of the logits nor the distance matters (the paper's:
c=1e-5, doublings=21); it begins at the nearest success of the call, if there is one; pixels at a bound begin up to 1 %
off it, where tanh is not flat. Fails on: gradients that are zero or mislead.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, adam
from sparring.blocks.penalty.descent import DRAWN_IN, FASTEST, hinge, loose, rate_for, refresh, through
from sparring.blocks.penalty.tanh_box import TanhBox
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.losses import margin
from sparring.norms import Linf

NOTHING = 1e-6
"of the box: a threshold below which rounding decides"


@register(
    "cw-linf",
    title="C&W Linf",
    sees="gradient",
    norms=(Linf,),
    aim="minimum",
    year=2017,
    paper="arXiv:1608.04644",
    aliases=("carlini-wagner-linf",),
    peers=("adv-lib", "art"),
    survey="CW Attack [23]",
)
class CarliniWagnerLinf(Attack):
    """A sinking threshold and a penalty on what exceeds it, in tanh space (Carlini & Wagner 2017).

    Args:
        steps: the most without a nearer success before c is doubled. doublings: of c, before it ends.
        gap: a success of size r sets the threshold to (1 - gap) * r. c: the first constant; None = from the gradient.
        lr: of Adam, at first; None = for each image, so that a step goes as far as a linear model sees the boundary,
            fourfold each time that `steps` found nothing; at most 0.1.
    """

    steps: PositiveInt = 40
    doublings: NonNegativeInt = 6
    gap: Annotated[float, Field(gt=0, lt=1)] = 0.1
    lr: PositiveFloat | None = None
    c: PositiveFloat | None = None

    def run(self, bout: Bout) -> None:
        box = TanhBox(bout.ball.box)
        rule = adam()
        memory: Memory = {}
        first, away = _soft_constant(bout)
        c = first if self.c is None else torch.full_like(first, self.c)
        start, size = bout.nearest_success
        lr = rate_for(bout.ball, torch.minimum(away, size)) if self.lr is None else torch.full_like(c, self.lr)

        def fill(value: float) -> Tensor:
            return torch.full_like(c, value)

        loosened = loose(box, start, bout.ball.column(DRAWN_IN * lr))
        row: _State = bout.active(_State(loosened, size, c, fill(self.gap), lr, fill(0), fill(self.doublings)))
        while len(bout):
            column = bout.ball.column
            z = bout.ball.restrict_to_region(box(row.w))
            _, slope, enough = hinge(bout, z)
            d = z - bout.x
            nearer = enough & (Linf.size(d) < row.size)
            late = ~nearer & (row.age + 1 >= self.steps)
            size = torch.where(nearer, Linf.size(d), row.size)
            finer = torch.where(late & size.isfinite(), 0.5, 1.0)
            row = row._replace(
                size=size,
                c=torch.where(late, 2 * row.c, row.c),
                gap=finer * row.gap,
                lr=torch.where(
                    late & size.isinf(), torch.maximum(row.lr, (4 * row.lr).clamp(max=FASTEST)), finer * row.lr
                ),
                age=torch.where(nearer | late, 0, row.age + 1),
                left=row.left - late.int(),
            )
            tau = torch.minimum((1 - row.gap) * row.size, bout.eps)
            exceeds = d.sign() * (d.abs() > column(tau))
            slope = through(box, z, exceeds + column(row.c) * slope) / bout.ball.width
            direction, memory = rule(slope, refresh(memory, nearer | late, bout))
            row = row._replace(w=row.w - column(row.lr) * direction)
            row, memory = bout.active(row, memory, done=(tau < NOTHING * bout.ball.width) | (row.left < 0))


class _State(NamedTuple):
    """Per row: the point in tanh space w [b, ...]; the rest [b]: the size of the nearest success, the weight c, the gap
    and the rate, steps since the last event, doublings left."""

    w: Tensor
    size: Tensor
    c: Tensor
    gap: Tensor
    lr: Tensor
    age: Tensor
    left: Tensor


def _soft_constant(bout: Bout) -> tuple[Tensor, Tensor]:
    """[b] a c with which the penalty outweighs the margin tenfold at the pixel that matters most; 1 where none does.

    And how far a linear model sees the boundary, [b].
    """
    gap, g = bout.value_and_grad(bout.x, margin)
    steepest = g.flatten(1).abs().amax(1)
    c = torch.where(steepest > 0, 0.1 / steepest, 1.0).clamp(max=torch.finfo(g.dtype).max ** 0.5)
    return c, (-gap / nonzero(bout.ball.norm.dual_size(g))).nan_to_num(torch.inf)
