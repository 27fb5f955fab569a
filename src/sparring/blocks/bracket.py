"""The search for the smallest radius at which an attack succeeds, for each row on its own."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

KNOWN = 0.95
"the first radius where a success is known already, as a fraction of its size: by whom it is from, it may be near best"


class Bracket(NamedTuple):
    """The state of a search between a radius that failed and the size of a success: [b] each, so that rows leave it.

    Attributes:
        eps: what to try next. low: the largest radius that failed. high: the smallest size of a success, inf if none.
        most: beyond this there is nothing to find.

    >>> radius = Bracket.start(torch.tensor([torch.inf]), guess=torch.tensor([1.0]), most=torch.tensor([9.0]))
    >>> radius = radius.tell(torch.tensor([torch.inf]), shrink=0.8)  # nothing found
    >>> radius.eps
    tensor([2.])
    >>> radius = radius.tell(torch.tensor([1.5]), shrink=0.8)  # a success at 1.5
    >>> radius.eps  # between the failure at 1 and 1.5, on a scale of ratios
    tensor([1.2247])
    """

    eps: Tensor
    low: Tensor
    high: Tensor
    most: Tensor

    @classmethod
    def start(cls, size: Tensor, guess: Tensor, most: Tensor) -> Bracket:
        """`size`: of a success known already, inf if none; without one the search begins at `guess`."""
        eps = torch.where(size.isfinite(), KNOWN * size, guess.clamp(min=most / 1000))
        return cls(torch.minimum(eps, most), torch.zeros_like(size), size, most)

    def tell(self, size: Tensor, shrink: float) -> Bracket:
        """The next state, when the smallest success so far has this size; never less than `shrink` times that next."""
        high = torch.minimum(self.high, size)
        low = torch.where(size <= self.eps * (1 + 1e-5), self.low, self.eps)
        low = torch.where(low < high, low, 0)  # what failed there was found smaller later: the failure says nothing
        between = torch.maximum((low * high).sqrt(), shrink * high)
        eps = torch.where(high.isfinite(), between, 2 * self.eps)
        return Bracket(torch.minimum(eps, self.most), low, high, self.most)

    def closed(self, tolerance: float) -> Tensor:
        """bool [b]: the failure is so near to the success, or to the most there is, that no other try is worth it."""
        return self.low >= torch.minimum(self.high, self.most) * (1 - tolerance)
