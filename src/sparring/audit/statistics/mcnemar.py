"""One accuracy under two models that saw the same images: what differs, and whether chance explains it.

With b images right under A only and c under B only, a fair coin decides each under the hypothesis that neither is
better (McNemar's test, exact):

    p = min(1, 2 P(X <= min(b, c))),        X ~ Binomial(b + c, 1/2)

The difference of the accuracies comes with an interval for paired shares, Wald's with half an image added to each cell
(Agresti and Min 2005, doi:10.1002/sim.1781). It can exclude 0 where the exact test, which is more careful, finds
nothing: there it is widened to the exact interval that belongs to the test. So it excludes 0 if and only if p < 0.05.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from sparring.audit.statistics.proportion import Z95, Figure

LEVEL = 0.05
"a p-value below this is taken for a difference"


def mcnemar(b: int, c: int) -> float:
    """The exact two-sided p-value of `b` against `c` discordant pairs.

    >>> mcnemar(10, 2), mcnemar(0, 0)
    (0.03857421875, 1.0)
    """
    pairs, few = b + c, min(b, c)
    term = tail = 1
    for k in range(few):
        term = term * (pairs - k) // (k + 1)
        tail += term
    p: float = min(1.0, 2 * tail / 2**pairs)
    return p


def paired_interval(b: int, c: int, of: int) -> tuple[float, float]:
    """95 % interval of (c - b) / of, the accuracy of B less that of A.

    >>> tuple(round(bound, 4) for bound in paired_interval(5, 20, 100))
    (0.0533, 0.2408)
    """
    total = of + 2
    centre = (c - b) / total
    half = Z95 * math.sqrt((b + c + 1) - (c - b) ** 2 / total) / total
    low, high = max(-1.0, centre - half), min(1.0, centre + half)
    if low <= 0 <= high or mcnemar(b, c) < LEVEL:
        return low, high
    pairs = b + c
    return (
        min(low, (1 - 2 * _largest(b, pairs)) * pairs / of),
        max(high, (2 * _largest(c, pairs) - 1) * pairs / of),
    )


def _largest(hits: int, of: int) -> float:
    """The largest share for which so few hits have a chance of 2.5 % (Clopper and Pearson 1934)."""
    if hits == of:
        return 1.0
    low, high = hits / of, 1.0
    logs = [math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1) for k in range(hits + 1)]
    for _ in range(60):
        middle = (low + high) / 2
        yes, no = math.log(middle), math.log1p(-middle)
        tail = sum(math.exp(log + k * yes + (of - k) * no) for k, log in enumerate(logs))
        low, high = (middle, high) if tail > LEVEL / 2 else (low, middle)
    return high


@dataclass(frozen=True)
class Paired:
    """One accuracy under A and under B, of the same images.

    Attributes:
        name: of the accuracy. a, b: what was counted. regressed, improved: numbers of the images that are right under
            A only, under B only.
    """

    name: str
    a: Figure
    b: Figure
    regressed: tuple[int, ...]
    improved: tuple[int, ...]

    @property
    def difference(self) -> float:
        """B less A."""
        return self.b.value - self.a.value

    @property
    def interval(self) -> tuple[float, float]:
        return paired_interval(len(self.regressed), len(self.improved), self.a.of)

    @property
    def p(self) -> float:
        return mcnemar(len(self.regressed), len(self.improved))

    @property
    def worse(self) -> bool:
        """B is worse than A by more than chance explains."""
        return len(self.regressed) > len(self.improved) and self.p < LEVEL

    @property
    def better(self) -> bool:
        """B is better than A by more than chance explains."""
        return len(self.improved) > len(self.regressed) and self.p < LEVEL

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "name": self.name,
            "a": self.a.to_dict(),
            "b": self.b.to_dict(),
            "difference": self.difference,
            "interval": list(self.interval),
            "mcnemar_p": self.p,
            "regressed": list(self.regressed),
            "improved": list(self.improved),
        }
