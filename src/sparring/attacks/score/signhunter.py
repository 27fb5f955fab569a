"""SignHunter: find the signs of the gradient by flipping halves, quarters, eighths ... of them and looking.

    z = the corner of the ball where all signs are s;   flip one block of s, keep that if the loss rises

Blocks are halved when all of one size are tried, down to single pixels: 2 d queries find every sign of a linear model.
Needs scores only, one query a flip, and nothing random. Al-Dujaili & O'Reilly 2020, arXiv:1902.06894.

Differs from the paper: the corner makes use of the box (`ball.linear_maximizer`); when all pixels are done it begins
anew from the signs it has, and a row leaves when such a round has changed nothing.
Fails on: large images in few queries, where the blocks are still large; L2 threats, where all pixels move alike.
"""

from __future__ import annotations

import torch
from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.estimators.halving import blocks
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L2, Linf


@register(
    "signhunter",
    title="SignHunter",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2019,
    paper="arXiv:1902.06894",
    aliases=("sign-hunter",),
)
class SignHunter(Attack):
    """Signs of the gradient by divide and conquer (Al-Dujaili & O'Reilly 2020).

    Args:
        queries: the most for each sample. loss: what must rise.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(3, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.tensor([[1.0, -1.0, 1.0], [-1.0, 1.0, -1.0]]))
    >>> x, y = torch.tensor([[0.6, 0.4, 0.3]]), torch.tensor([0])
    >>> sp.SignHunter()(net, x, y, sp.Threat("Linf", 0.25)).x_adv
    tensor([[0.3500, 0.6500, 0.0500]])
    """

    queries: PositiveInt = 5000
    loss: Loss = margin

    def run(self, bout: Bout) -> None:
        signs = torch.ones_like(bout.x)
        value = self.loss(bout.logits(bout.ball.linear_maximizer(signs)), bout.goal)
        changed = torch.ones_like(bout.eps, dtype=torch.bool)
        for turn, (flip, begins) in zip(range(1, self.queries), blocks(bout.x), strict=False):
            idle = ~changed if begins and turn > 1 else None
            signs, value, changed = bout.active(signs, value, changed, done=idle)
            if not len(bout):
                return
            flipped = torch.where(flip, -signs, signs)
            asked = self.loss(bout.logits(bout.ball.linear_maximizer(flipped)), bout.goal)
            better = rises(asked, value)
            signs = torch.where(bout.ball.column(better), flipped, signs)
            value = torch.where(better, asked, value)
            changed = better | changed & (not begins)
