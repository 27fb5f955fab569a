"""An interval for a share that holds at every moment at once, so that counting may stop as soon as it is narrow enough.

Each image is a hit or not, with the same unknown probability p. For any q the likelihood ratio

    q^h (1-q)^(n-h)  /  p^h (1-p)^(n-h)          (h hits among the first n images)

is a martingale under p: the factor of each image has mean p (q/p) + (1-p) (1-q)/(1-p) = 1. So is its mean over q; with
q from Beta(a, b), chosen before the first image, it has a closed form (B is the beta function):

    M_n(p) = B(a + h, b + n - h) / B(a, b)  /  (p^h (1-p)^(n-h)),       M_0(p) = 1

It is never negative, so by Ville's inequality it reaches 1/alpha at any n at all with a probability of at most alpha.
What is left, {p: M_n(p) < 1/alpha}, therefore covers the true p at all n together with probability 1 - alpha: one may
look after every image and stop when one likes. A Wilson interval, made for one look, does not allow that.

log M_n is convex in p, so the set is an interval, and bisection finds its ends. It depends on the counts alone, not on
the order of the images. Any (a, b) is valid; one near the limit in question settles it soonest where that is hard, when
p is close to it (`near`: a fifth to a third fewer images than Jeffreys' (1/2, 1/2)). Robbins 1970,
doi:10.1214/aoms/1177696786; as bets on the next image: Waudby-Smith and Ramdas, arXiv:2010.09686.
"""

from __future__ import annotations

import math

ALPHA = 0.05
"the probability that the interval ever leaves out the truth"
LIMIT = 10_000_000
"no more images than this are asked for"

Prior = tuple[float, float]
JEFFREYS: Prior = (0.5, 0.5)


def near(share: float) -> Prior:
    """The prior for a question about `share`: as much as ten images know, around it."""
    middle = min(max(share, 0.02), 0.98)
    return 10 * middle, 10 * (1 - middle)


def log_evidence(hits: float, of: float, share: float, prior: Prior = JEFFREYS) -> float:
    """log M_n(share): how much the counts speak against `share`; from log(1 / alpha) on it is ruled out.

    >>> log_evidence(0, 0, 0.5)
    0.0
    >>> log_evidence(50, 50, 0.85) > math.log(1 / ALPHA)
    True
    """
    a, b = prior
    mixture = _log_beta(a + hits, b + of - hits) - _log_beta(a, b)
    return mixture - _times_log(hits, share) - _times_log(of - hits, 1 - share)


def interval(hits: int, of: int, prior: Prior = JEFFREYS, alpha: float = ALPHA) -> tuple[float, float]:
    """(low, high): every share that the counts do not rule out.

    >>> tuple(round(bound, 3) for bound in interval(171, 200, near(0.85)))
    (0.77, 0.919)
    """
    if not of:
        return 0.0, 1.0
    bar, middle = math.log(1 / alpha), hits / of
    low = 0.0 if hits == 0 else _border(hits, of, prior, bar, 0.0, middle)
    high = 1.0 if hits == of else _border(hits, of, prior, bar, 1.0, middle)
    return low, high


def needed(hits: int, of: int, share: float, prior: Prior = JEFFREYS, alpha: float = ALPHA) -> int | None:
    """About how many more images tell the share apart from `share`, if they go on as so far; None = none may do.

    >>> needed(90, 100, 0.85, near(0.85))
    352
    """
    if not of:
        return None
    bar, rate = math.log(1 / alpha), hits / of

    def settled(n: int) -> bool:
        return log_evidence(rate * n, n, share, prior) >= bar

    if settled(of):
        return 0
    high = of
    while not settled(high):
        high *= 2
        if high > LIMIT:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high - of


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _times_log(count: float, share: float) -> float:
    """count * log(share), 0 where nothing was counted."""
    if count <= 0:
        return 0.0
    return count * math.log(share) if share > 0 else -math.inf


def _border(hits: int, of: int, prior: Prior, bar: float, outside: float, inside: float) -> float:
    """Where the evidence reaches `bar` between a share that is ruled out and one that is not; on the safe side."""
    for _ in range(60):
        middle = (outside + inside) / 2
        if log_evidence(hits, of, middle, prior) >= bar:
            outside = middle
        else:
            inside = middle
    return outside
