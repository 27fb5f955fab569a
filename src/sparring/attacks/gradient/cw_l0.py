"""C&W L0: attack with few pixels, drop those that matter least, and again, until it fails.

    on a success with gradient g of the margin:  drop the pixels with the least to gain, g_i times the room they have
    else a step on  |z - x|_2^2 + c * max(-margin(z), 0)  over the pixels that are left, in tanh space, by Adam

Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: a success drops a `share` of the pixels instead of one at a time; where that was too much, half
the share is dropped from the last success, down to a single pixel; what a pixel is worth is judged by where it could
go in the box, not by where it is; c comes from the gradient, so that the scale of the logits does not matter, and
rises as pixels go; every sample has its own pixels, c and clock; it begins at the nearest success of the call.
Fails on: gradients that are zero or mislead; greedy, so the fewest pixels are found only where they stand out.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, adam
from sparring.blocks.penalty.constants import fair, first_constant
from sparring.blocks.penalty.descent import loose, refresh, through
from sparring.blocks.penalty.tanh_box import TanhBox
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L0


@register(
    "cw-l0",
    title="C&W L0",
    sees="gradient",
    norms=(L0,),
    aim="minimum",
    year=2017,
    paper="arXiv:1608.04644",
    aliases=("carlini-wagner-l0",),
    peers=("art",),
    survey="CW Attack [23]",
)
class CarliniWagnerL0(Attack):
    """The L2 attack on fewer and fewer pixels (Carlini & Wagner 2017).

    Args:
        steps: the most without a success before fewer pixels are dropped, and c is raised.
        failures: how often that may happen, before it ends.
        share: of the pixels that a success drops, at first. lr: of Adam.
        c: the first constant; None = from the gradient at the image.
    """

    steps: PositiveInt = 50
    failures: PositiveInt = 8
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    lr: PositiveFloat = 0.3
    c: PositiveFloat | None = None

    def run(self, bout: Bout) -> None:
        box = TanhBox(bout.ball.box)
        rule = adam()
        memory: Memory = {}
        c = first_constant(bout, self.c)
        good, size = bout.nearest_success
        zero = torch.zeros_like(c)
        row: _State = bout.active(
            _State(
                w=loose(box, good, 0.01),
                good=good,
                keep=(good != bout.x) | bout.ball.column(size.isinf()),
                c=c,
                gap=-bout.goal.margin(bout.clean_logits),
                share=zero + self.share,
                drop=zero,
                age=zero,
                left=zero + self.failures,
            )
        )
        while len(bout):
            x, column = bout.x, bout.ball.column
            z = bout.ball.restrict_to_region(torch.where(row.keep, box(row.w), x))
            z = torch.where((z - x).abs() < 1e-4 * box.half, x, z)  # what hardly changes is not worth a pixel
            margins, g = bout.value_and_grad(z, margin)
            d = z - x
            enough = margins > 0
            late = ~enough & (row.age + 1 >= self.steps)
            slope = 2 * d - torch.where(column(enough), 0, column(row.c) * g)
            direction, memory = rule(through(box, z, slope) / bout.ball.width**2, refresh(memory, enough | late, bout))

            drop = (row.share * L0.size(d)).ceil()
            kept = _most_worth(torch.maximum(g * bout.ball.low, g * bout.ball.high), d != 0, drop)
            needed = torch.maximum(row.c, fair(row.gap, torch.where(kept, g, 0)))
            row = row._replace(
                w=row.w - self.lr * direction,
                good=torch.where(column(enough), z, row.good),
                keep=torch.where(column(enough), kept, row.keep),
                c=torch.where(late, 4 * row.c, torch.where(enough, needed, row.c)),
                drop=torch.where(enough, drop, row.drop),
                age=torch.where(enough | late, 0, row.age + 1),
                left=torch.where(late & (row.drop == 1), 0, row.left - late.int()),  # one pixel was too many
            )

            back = late & (row.good != x).flatten(1).any(1)  # to the last success, to drop half as many
            row = row._replace(
                w=torch.where(column(back), box.inverse(row.good), row.w),
                keep=torch.where(column(back), row.good != x, row.keep),
                share=torch.where(back, row.share / 2, row.share),
            )
            row, memory = bout.active(row, memory, done=row.left <= 0)


class _State(NamedTuple):
    """Per row.

    Attributes:
        w: the point in tanh space [b, ...]. good: the last success [b, ...]. keep: bool [b, ...], pixels in use.
        c: [b] the weight of the missing margin. gap: [b] what the clean image is short of.
        share: [b] of the pixels that the next success drops. drop: [b] how many the last one dropped.
        age: [b] steps since the last event. left: [b] failures left.
    """

    w: Tensor
    good: Tensor
    keep: Tensor
    c: Tensor
    gap: Tensor
    share: Tensor
    drop: Tensor
    age: Tensor
    left: Tensor


def _most_worth(worth: Tensor, changed: Tensor, drop: Tensor) -> Tensor:
    """bool [b, ...]: the changed pixels without the `drop` [b] that are worth least."""
    order = torch.where(changed, worth, -torch.inf).flatten(1).argsort(dim=1, descending=True, stable=True)
    left = changed.flatten(1).sum(1) - drop
    return (order.argsort(dim=1) < left[:, None]).reshape(worth.shape)
