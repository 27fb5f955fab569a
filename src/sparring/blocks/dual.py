"""The weight between two players, size and mistake, that rises while a point does not fool and falls while it does."""

from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

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
        return cls(-ratio.log(), (-ratio.log()).sigmoid())

    def tell(self, gain: Tensor, rate: float) -> Dual:
        """The next state, after a margin `gain` [b] was seen: gradient ascent on its sign."""
        odds = (self.odds - rate * gain.sign()).clamp(LEAST, -LEAST)
        return Dual(odds, self.weight.lerp(odds.sigmoid(), 1 - SMOOTH))

    @property
    def ratio(self) -> Tensor:
        """[b] weight of the size over that of the mistake."""
        return (1 - self.weight) / self.weight
