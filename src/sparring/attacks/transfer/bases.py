"""BASES: a few queries say which surrogates to listen to; the points are made on the surrogates.

    z = PGD on  sum_i w_i loss_i,  from the last z;   w_i +- rate in turn, the side at which the model's loss is higher

Needs scores, and nets of one's own: `sp.attack("bases", surrogates=[net, other])`. Two queries a round, and gradients
of the surrogates, which cost no query. Cai, Song, Krishnamurthy, Roy-Chowdhury & Asif 2022, arXiv:2208.03610.

Differs from the paper: the side with less weight is only asked where the other did not fool; untargeted as well; the
rate, made for a few surrogates and not for 20, stays as it is; the loss is the margin, of surrogates and model alike.
Fails on: models that look at other things than all of the surrogates do.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.surrogates import Surrogates, checked, climb, shifted
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L1, L2, Linf


@register(
    "bases",
    title="BASES",
    sees="score",
    norms=(Linf, L2, L1),
    approach="gradient",
    year=2022,
    paper="arXiv:2208.03610",
    listed=False,
)
class Bases(Attack):
    """Search over the weights of surrogates (Cai et al. 2022).

    Args:
        queries: the most for each image. steps: of PGD on the surrogates before each query. step: the length of one,
            as a share of eps. rate: how far a weight moves. loss: what must rise, on surrogates and model.
        surrogates: models, or their specs joined by "+"; each needs the classes of the model, numbered alike.
    """

    queries: PositiveInt = 50
    steps: PositiveInt = 10
    step: PositiveFloat = 0.3
    rate: Annotated[float, Field(gt=0, lt=1)] = 0.2
    loss: Loss = margin
    surrogates: Surrogates = Field(default=(), validate_default=True)

    def run(self, bout: Bout) -> None:
        models = checked(self.surrogates, bout)
        b = bout.child(0, passes=self.queries)

        def tried(weights: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
            """Points made with these weights from `z`, and what the model says of them: one query."""
            point = climb(models, weights, b, z, self.loss, self.steps, self.step)
            return point, self.loss(b.logits(point), b.goal)

        weights = b.x.new_full((len(b), len(models)), 1 / len(models))
        z, _ = tried(weights, b.x)
        for turn in range(self.queries):
            which = turn % len(models)
            z, weights = b.active(z, weights)
            if not len(b):
                return
            more = shifted(weights, which, self.rate)
            up, gain = tried(more, z)
            z, weights, more, up, gain = b.active(z, weights, more, up, gain)
            if not len(b):
                return
            less = shifted(weights, which, -self.rate)
            down, other = tried(less, z)
            better = (gain >= other) | other.isnan()
            z = torch.where(b.ball.column(better), up, down)
            weights = torch.where(better[:, None], more, less)
