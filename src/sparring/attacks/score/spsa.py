"""SPSA: Adam on a gradient that is estimated from scores along random signs.

    g = 1 / (2 delta n) * sum over n pairs of [l(z + delta v) - l(z - delta v)] v,   v of -1 and +1
    z <- project(z + step * eps * adam(g))

Needs scores only: `samples` queries a step, and one for the point itself. It does not care whether the net has
gradients: Uesato, O'Donoghue, van den Oord & Kohli 2018, arXiv:1802.05666, who broke defenses with it.

Differs from the paper: probes never leave the box; each image has directions of its own; a step is a fraction of eps,
and longer than Adam's usual 0.01 pixel; L2 as well, where a step has the same size by that norm.
Fails on: scores that are rounded or noisy beyond delta, and in few queries where the image is large.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, adam
from sparring.blocks.estimators.antithetic import antithetic
from sparring.blocks.estimators.directions import signs
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L2, Linf


@register(
    "spsa",
    title="SPSA",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2018,
    paper="arXiv:1802.05666",
    peers=("cleverhans", "torchattacks"),
    random=True,
    survey="SPSA [183]",
)
class SPSA(Attack):
    """Adam on gradients estimated along random signs (Uesato et al. 2018).

    Args:
        steps: the most. samples: queries for each gradient, in pairs.
        step: the length of a step as a fraction of eps. delta: how far the probes are, of the box width.
        loss: what must rise.
    """

    steps: PositiveInt = 100
    samples: Annotated[int, Field(ge=2, multiple_of=2)] = 128
    step: PositiveFloat = 0.15
    delta: PositiveFloat = 0.01
    loss: Loss = margin

    def run(self, bout: Bout) -> Tensor | None:
        rule, memory, z = adam(), Memory(), bout.x
        for k in range(self.steps):
            _, g = antithetic(bout, z, self.loss, self.samples // 2, self.delta, signs, also=k > 0)
            z, g, memory = bout.active(z, g, memory)
            if not len(bout):
                return None
            g, memory = rule(g, memory)
            rate = self.step * bout.eps / bout.ball.norm.size(torch.ones_like(z))  # Adam moves a pixel by about 1
            z = bout.ball.project(z + bout.ball.column(rate) * g)
        return z
