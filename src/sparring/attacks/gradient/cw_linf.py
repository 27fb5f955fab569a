"""C&W Linf: a penalty on what exceeds a threshold, and a threshold that sinks with every success.

    min over w of  sum_i max(|z_i - x_i| - tau, 0) + c * max(-margin(z), 0),   z = (tanh(w) + 1) / 2

by Adam. A success lowers tau to `shrink` * min(tau, its size), a run without one doubles c; each run goes on where the
one before ended. Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: every sample has a tau, a c and a clock of its own; the first c comes from the first gradient,
so that the scale of the logits does not matter, and c grows 64-fold at most (c=1e-5 is the paper's, up to 20); pixels at
a bound start 1 % off it. Fails on: gradients that are zero or mislead; it needs some hundred steps.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.penalty import hinge, loose, refresh, through
from sparring.blocks.rules import Memory, adam
from sparring.blocks.tanh_box import TanhBox
from sparring.bout import Bout
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
    """A sinking threshold with a penalty above it, in tanh space (Carlini & Wagner 2017).

    Args:
        steps: the most without a success before c is doubled. lr: of Adam.
        shrink: the next threshold as a share of the last success. c: the first constant; None = from the first gradient.
    """

    steps: PositiveInt = 50
    lr: PositiveFloat = 0.05
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.9
    c: PositiveFloat | None = None

    def run(self, bout: Bout) -> None:
        box, rule = TanhBox(bout.ball.box), adam()
        size, wide = bout.found[1], 2 * box.half
        tau = torch.minimum(self.shrink * size, bout.eps).clamp(max=wide)
        row = {"w": loose(box, bout.found[0], 0.01), "tau": tau, "age": torch.zeros_like(tau)}
        memory: Memory = {}
        while len(bout):
            z, tau = bout.ball.confine(box(row["w"])), row["tau"]
            missing, slope, enough = hinge(bout, z, 0.0)
            if "c" not in row:
                steepest = slope.flatten(1).abs().amax(1)
                row["c"] = (
                    torch.where(steepest > 0, 0.1 / steepest, 1.0) if self.c is None else torch.full_like(tau, self.c)
                )
                row["most"] = 64 * row["c"] if self.c is None else torch.full_like(tau, 20.0)
            ...
