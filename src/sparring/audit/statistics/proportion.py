"""Proportions with their denominators and 95 % Wilson intervals (Wilson 1927, doi:10.1080/01621459.1927.10502953)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

Z95 = 1.959963984540054
"the normal quantile of a two-sided 95 % interval"


def wilson(hits: int, of: int, z: float = Z95) -> tuple[float, float]:
    """(low, high) of the share `hits / of`; (0, 1) where nothing was counted.

    Unlike the textbook interval it stays inside [0, 1] and says something useful at 0 and 100 %.

    >>> tuple(round(bound, 4) for bound in wilson(0, 200))
    (0.0, 0.0188)
    """
    if of <= 0:
        return 0.0, 1.0
    share = hits / of
    scale = 1 + z * z / of
    centre = (share + z * z / (2 * of)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return (0.0 if hits == 0 else max(0.0, centre - half)), (1.0 if hits == of else min(1.0, centre + half))


@dataclass(frozen=True)
class Figure:
    """A share that was counted: `hits` of `of`, with its interval.

    >>> print(Figure(171, 200))
    85.5 % (171 of 200; 95 % interval 80.0 to 89.7 %)
    """

    hits: int
    of: int

    def __add__(self, other: Figure) -> Figure:
        """Counted together."""
        return Figure(self.hits + other.hits, self.of + other.of)

    @property
    def value(self) -> float:
        """The share, NaN where nothing was counted."""
        return self.hits / self.of if self.of else math.nan

    @property
    def low(self) -> float:
        return wilson(self.hits, self.of)[0]

    @property
    def high(self) -> float:
        return wilson(self.hits, self.of)[1]

    @property
    def half_width(self) -> float:
        """Half of the interval: what a difference must exceed to mean something."""
        return (self.high - self.low) / 2

    def __str__(self) -> str:
        if not self.of:
            return "none counted"
        return f"{percent(self.value)} ({self.hits} of {self.of}; {self.interval})"

    @property
    def interval(self) -> str:
        """The interval in words."""
        return f"95 % interval {self.low * 100:.1f} to {self.high * 100:.1f} %"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"value": self.value, "hits": self.hits, "of": self.of, "low": self.low, "high": self.high}


def percent(share: float) -> str:
    """A share in per cent, one decimal; "-" where it is not known.

    >>> percent(0.855)
    '85.5 %'
    """
    return "-" if math.isnan(share) else f"{share * 100:.1f} %"
