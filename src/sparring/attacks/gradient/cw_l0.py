"""C&W L0: attack with few pixels, drop those that matter least, and again, until it fails.

    on a success with gradient g of the margin:  drop the pixels with the smallest g_i * (z_i - x_i)
    else a step on  |z - x|_2^2 + c * max(-margin(z), 0)  over the pixels that are left, in tanh space, by Adam

Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: a success drops a `share` of the pixels instead of one at a time; where that was too much, half
the share is dropped from the last success, down to a single pixel; every sample has its own pixels, c and clock; the
first c comes from the gradient at the image, so that the scale of the logits does not matter; it begins at the
nearest success of the call, if there is one.
Fails on: gradients that are zero or mislead; greedy, so the fewest pixels are found only where they stand out.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.constants import first_constant
from sparring.blocks.penalty import loose, refresh, through
from sparring.blocks.rules import Memory, adam
from sparring.blocks.tanh_box import TanhBox
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
        share: of the pixels that a success drops at first. lr: of Adam.
        c: the first constant; None = from the gradient at the image.
    """

    steps: PositiveInt = 50
    share: Annotated[float, Field(gt=0, lt=1)] = 0.25
    lr: PositiveFloat = 0.3
    c: PositiveFloat | None = None

    def run(self, bout: Bout) -> None:
        box, rule, memory = TanhBox(bout.ball.box), adam(), Memory()
        c = first_constant(bout, self.c)
        good, size = bout.found
        row = bout.standing(
            {
                "w": loose(box, good, 0.01), "good": good, "keep": (good != bout.x) | bout.ball.column(size.isinf()),
                "share": torch.full_like(c, self.share), "c": c, "most": 4**8 * c, "age": torch.zeros_like(c),
                "single": c < 0,
            }
        )  # fmt: skip
        while len(bout):
            x, column = bout.x, bout.ball.column
            z = bout.ball.confine(torch.where(row["keep"], box(row["w"]), x))
            z = torch.where((z - x).abs() < 1e-4 * box.half, x, z)  # what hardly changes is not worth a pixel
            gap, g = bout.value_and_grad(z, margin)
            d, enough = z - x, gap > 0
            kept = _most_worth(g * d, d != 0, row["share"])
            late = ~enough & (row["age"] + 1 >= self.steps)
            done = late & (row["single"] | (row["c"] > row["most"]))
            row["age"] = torch.where(enough | late, 0, row["age"] + 1)
            row["single"] = torch.where(enough, row["share"] * L0.size(d) <= 1, row["single"])
            row["c"] = torch.where(late, 4 * row["c"], row["c"])
            row["good"] = torch.where(column(enough), z, row["good"])
            slope = 2 * d - torch.where(column(enough), 0, column(row["c"]) * g)
            direction, memory = rule(through(box, z, slope), refresh(memory, enough | late, bout))
            row["w"] = row["w"] - self.lr * direction
            row["keep"] = torch.where(column(enough), kept, row["keep"])
            back = late & (row["good"] != x).flatten(1).any(1)
            row["share"] = torch.where(back, row["share"] / 2, row["share"])
            row["keep"] = torch.where(column(back), row["good"] != x, row["keep"])
            row["w"] = torch.where(column(back), box.inverse(row["good"]), row["w"])
            row, memory = bout.standing(row, memory, done=done)


def _most_worth(worth: Tensor, changed: Tensor, share: Tensor) -> Tensor:
    """bool [b, ...]: the changed pixels without the `share` [b] of them that is worth least, at least one."""
    count = changed.flatten(1).sum(1)
    left = count - (share * count).ceil()
    order = torch.where(changed, worth, -torch.inf).flatten(1).argsort(dim=1, descending=True, stable=True)
    return (order.argsort(dim=1) < left[:, None]).reshape(worth.shape)
