"""The weight between two players, size and mistake, that rises while a point does not fool and falls while it does."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.kernels import nonzero
from sparring.norms import L0, L1

SMOOTH, LEAST = 0.9, math.log(1e-6)


class Dual(NamedTuple):
    """The dual variable of a constraint "it fools": [b] each; a tuple, so that rows leave it as any state.

    Attributes:
        odds: log of the weight of the mistake over that of the size, between log 1e-6 and -log 1e-6.
        weight: the share of the weight that the mistake has, a running mean; the size has the rest.
    """

    odds: Tensor
    weight: Tensor

    @classmethod
    def start(cls, ratio: Tensor) -> Dual:
        """The size weighs `ratio` [b] times as much as the mistake."""
        odds = (-ratio.log()).clamp(LEAST, -LEAST)
        return cls(odds, odds.sigmoid())

    def balanced(self, rows: Tensor, ball: Ball, g: Tensor) -> Dual:
        """Rows [b] get the weights with which size and mistake pull equally at a point on the boundary, by its margin's
        gradient `g`; the others keep theirs.

        Without a box this holds at the nearest point of the boundary. The 2/3 quasi-norm, that stands for L0, pulls at
        pixels that are changed much as L1 does.
        """
        norm = L1 if ball.norm == L0 else ball.norm
        fair = Dual.start(nonzero(norm.dual_size(g) * ball.width / 2))
        return Dual(*(torch.where(rows, new, old) for new, old in zip(fair, self, strict=True)))

    def tell(self, gain: Tensor, rate: float) -> Dual:
        """The next state, after a margin `gain` [b] was seen: gradient ascent on its sign."""
        odds = (self.odds - rate * gain.sign()).clamp(LEAST, -LEAST)
        return Dual(odds, self.weight.lerp(odds.sigmoid(), 1 - SMOOTH))

    @property
    def ratio(self) -> Tensor:
        """[b] weight of the size over that of the mistake."""
        return (1 - self.weight) / self.weight
