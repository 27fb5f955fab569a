"""Numbers that change from the first step of a search to its last: step lengths, rates. Pure functions of the step."""

from __future__ import annotations

import math


def cosine(k: int, steps: int, first: float, last: float) -> float:
    """Half a cosine wave from `first` at step 0 to `last` at step `steps` (Loshchilov & Hutter 2017, arXiv:1608.03983).

    >>> [round(cosine(k, 4, 1.0, 0.0), 3) for k in range(5)]
    [1.0, 0.854, 0.5, 0.146, 0.0]
    """
    return last + (first - last) * (1 + math.cos(math.pi * k / steps)) / 2


def exponential(k: int, steps: int, first: float, last: float) -> float:
    """The same factor at every step, from `first` at step 0 to `last` at step `steps`.

    >>> [exponential(k, 2, 1.0, 0.25) for k in range(3)]
    [1.0, 0.5, 0.25]
    """
    return float(first * (last / first) ** (k / steps))


def linear(k: int, steps: int, first: float, last: float) -> float:
    """A straight line from `first` at step 0 to `last` at step `steps`.

    >>> linear(1, 4, 1.0, 0.0)
    0.75
    """
    return first + (last - first) * k / steps
