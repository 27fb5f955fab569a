"""Exact cycles: a climb with fixed steps and no noise that comes back to a point goes round in circles from there.

Brent's rule: the points at steps 64, 128, 256 ... are kept, and each point is compared with the last one kept. Equal
means equal in every bit, so that what would follow is known: nothing new would ever be seen.
"""

from __future__ import annotations

from torch import Tensor

FIRST = 64
"steps before the first look: shorter climbs pay nothing"


def kept_step(k: int) -> bool:
    """Whether the point before step `k` is kept, to be compared with those after it."""
    return k >= FIRST and k & (k - 1) == 0


def back_at(z: Tensor, kept: Tensor) -> Tensor:
    """bool [b]: this row of `z` is where it was when it was kept."""
    return (z == kept).flatten(1).all(1)
