"""C&W Linf: a penalty on what exceeds a threshold, and a threshold that sinks with every success.

    min over w of  sum_i max(|z_i - x_i| - tau, 0) + c * max(-margin(z), 0),   z = (tanh(w) + 1) / 2

by Adam. A success lowers tau to `shrink` * min(tau, its size), a run without one doubles c; each goes on where the last
one ended. Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: every sample has a tau, a c and a clock of its own; the first c comes from the gradient at the
image, so that the scale of the logits does not matter (the paper's: c=1e-5, doublings=21); it begins at the nearest
success of the call, if there is one; pixels at a bound begin 1 % off it, where tanh is not flat.
Fails on: gradients that are zero or mislead.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.penalty import hinge, loose, refresh, through
from sparring.blocks.rules import Memory, adam
from sparring.blocks.tanh_box import TanhBox
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import Linf


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
        steps: the most without a success before c is doubled. doublings: of c, before it ends.
        shrink: a success lowers the threshold to this share. lr: of Adam.
        c: the first constant; None = from the gradient at the image.
    """

    steps: PositiveInt = 50
    doublings: PositiveInt = 6
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.9
    lr: PositiveFloat = 0.05
    c: PositiveFloat | None = None

    def run(self, bout: Bout) -> None:
        box, rule, memory = TanhBox(bout.ball.box), adam(), Memory()
        wide, first = 2 * box.half, _soft_constant(bout) if self.c is None else torch.full_like(bout.eps, self.c)
        start, size = bout.found
        row = bout.standing(
            {
                "w": loose(box, start, 0.01), "age": torch.zeros_like(size), "c": first,
                "tau": torch.minimum(self.shrink * size, bout.eps).clamp(max=wide), "most": 2**self.doublings * first,
            }
        )  # fmt: skip
        while len(bout):
            z = bout.ball.confine(box(row["w"]))
            _, slope, enough = hinge(bout, z)
            d, column = z - bout.x, bout.ball.column
            tau = torch.where(enough, self.shrink * torch.minimum(row["tau"], Linf.size(d)), row["tau"])
            late = ~enough & (row["age"] + 1 >= self.steps)
            row["age"] = torch.where(enough | late, 0, row["age"] + 1)
            row["c"], row["tau"] = torch.where(late, 2 * row["c"], row["c"]), tau
            wall = d.sign() * (d.abs() > column(tau))
            slope = through(box, z, wall + column(row["c"]) * slope)
            direction, memory = rule(slope, refresh(memory, enough | late, bout))
            row["w"] = row["w"] - self.lr * direction
            row, memory = bout.standing(row, memory, done=(tau < wide / 256) | (row["c"] > row["most"]))


def _soft_constant(bout: Bout) -> Tensor:
    """[b] a c with which the penalty outweighs the margin tenfold at the pixel that matters most; 1 where none does."""
    _, g = bout.value_and_grad(bout.x, margin)
    steepest = g.flatten(1).abs().amax(1)
    return torch.where(steepest > 0, 0.1 / steepest, 1.0).clamp(max=torch.finfo(g.dtype).max / 2**64)
