"""Exact statistics of counts: Clopper-Pearson bounds and the binomial test, from sums of the binomial's own terms.

Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404. No table and no approximation: all terms in logarithms, float64.
"""

from __future__ import annotations

import math

import torch


def tail(hits: int, of: int, p: float) -> float:
    """P(X >= hits) for X ~ Binomial(of, p).

    >>> round(tail(8, 10, 0.5), 7)
    0.0546875
    """
    if hits <= 0:
        return 1.0
    if p <= 0 or hits > of:
        return 0.0
    if p >= 1:
        return 1.0
    if 2 * hits > of:
        return math.exp(min(0.0, _log_sum(hits, of, of, p)))
    return max(0.0, 1 - math.exp(min(0.0, _log_sum(0, hits - 1, of, p))))


def lower_bound(hits: int, of: int, alpha: float) -> float:
    """The largest p0 such that p >= p0 with confidence 1 - alpha, one-sided: the alpha quantile of Beta(k, n - k + 1).

    >>> round(lower_bound(99_000, 100_000, 0.001), 6)
    0.988989
    """
    if hits == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(60):  # halve until the last bit; `low` stays on the safe side
        middle = (low + high) / 2
        low, high = (middle, high) if tail(hits, of, middle) <= alpha else (low, middle)
    return low


def interval(hits: int, of: int, confidence: float) -> tuple[float, float]:
    """The two-sided interval of the share `hits / of`; (0, 1) where nothing was counted.

    >>> tuple(round(bound, 4) for bound in interval(8, 10, 0.95))
    (0.4439, 0.9748)
    """
    if not of:
        return 0.0, 1.0
    half = (1 - confidence) / 2
    return lower_bound(hits, of, half), 1 - lower_bound(of - hits, of, half)


def coin_test(hits: int, of: int) -> float:
    """The two-sided p-value of `hits` heads in `of` throws of a fair coin.

    >>> round(coin_test(8, 10), 6)
    0.109375
    """
    return min(1.0, 2 * tail(max(hits, of - hits), of, 0.5))


def _log_sum(first: int, last: int, of: int, p: float) -> float:
    """log P(first <= X <= last)."""
    k = torch.arange(first, last + 1, dtype=torch.float64)
    choose = math.lgamma(of + 1) - torch.lgamma(k + 1) - torch.lgamma(of - k + 1)
    return float(torch.logsumexp(choose + k * math.log(p) + (of - k) * math.log1p(-p), 0))
