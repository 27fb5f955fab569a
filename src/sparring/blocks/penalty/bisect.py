"""Binary search for one number a row: the constant c of C&W, EAD, L-BFGS and OptMargin."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Bisect(NamedTuple):
    """The state of a search for the smallest value that works: [b] each; a tuple, so that rows leave it as any state.

    A value that works becomes the upper end, one that fails the lower end; next is the middle, or ten times as much
    while nothing has worked yet.

    >>> c = Bisect.start(torch.zeros(2), 0.1)
    >>> c = c.tell(torch.tensor([True, False]))
    >>> c.value
    tensor([0.0500, 1.0000])
    """

    value: Tensor
    low: Tensor
    high: Tensor

    @classmethod
    def start(cls, like: Tensor, value: float, most: float = float("inf")) -> Bisect:
        """`value` for every row of `like` [b, ...]; what lies above `most` is never tried."""
        blank = torch.zeros(len(like), dtype=like.dtype, device=like.device)
        return cls(blank + value, blank, blank + most)

    def tell(self, works: Tensor) -> Bisect:
        """The next state, after the value worked, or did not: bool [b]."""
        low = torch.where(works, self.low, torch.maximum(self.low, self.value))
        high = torch.where(works, torch.minimum(self.high, self.value), self.high)
        return Bisect(torch.where(high.isfinite(), (low + high) / 2, 10 * self.value), low, high)
