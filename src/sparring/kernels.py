"""The arithmetic below the norms: exact fills of capped pixels along a ray, and rows scaled without underflow.

All of it works row by row on [B, n] or [B, ...] tensors; nothing here knows what an attack is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.rng import Noise

ROUNDS = 24
"of Newton's steps before a row is sorted"


def per(values: Tensor, like: Tensor) -> Tensor:
    """Shape [B] values so that they broadcast against `like` [B, ...]."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def unit_peak(g: Tensor) -> Tensor:
    """Scaled so that the largest entry is 1: squares of it can neither underflow nor overflow."""
    return g / per(nonzero(g.flatten(1).abs().amax(1)), g)


def radius(noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[B] radii of points uniform in a ball of so many dimensions; without an eps, one that reaches across the box."""
    n = max(1, low[0].numel())
    reach = torch.where(eps.isfinite(), eps, n * (high - low).flatten(1).amax(1))
    return reach * noise.uniform(1, dtype=low.dtype).squeeze(1) ** (1 / n)


def nonzero(size: Tensor) -> Tensor:
    """Sizes to divide by: a zero stays harmless, a tiny gradient keeps its direction."""
    return size.clamp(min=torch.finfo(size.dtype).tiny)


def shrink(d: Tensor, eps: Tensor, low: Tensor, high: Tensor, at_most: float) -> Tensor:
    """clip(s * d, low, high) with the largest s <= at_most for which its L2 size is <= eps. Exact.

    Let the pixels at their bound be known: then s solves a quadratic. Each round adds those that the new s drives
    into their bound; s only grows, so this ends, mostly after 2 to 6 rounds (Michelot 1986, doi:10.1007/BF00938486).
    """
    magnitude, cap = d.flatten(1).abs(), torch.where(d > 0, high, -low).flatten(1)
    square, roof = magnitude.square(), cap.square()
    whole, budget = square.sum(1), eps.square()
    scale = torch.where(whole > 0, (budget / nonzero(whole)).sqrt(), at_most).clamp(max=at_most)  # nothing is full yet
    full = (scale[:, None] * magnitude >= cap) & (magnitude > 0)
    if bool(full.any()):
        for _ in range(magnitude.shape[1]):
            at = full.to(square.dtype)
            rest = (budget - torch.linalg.vecdot(roof, at)).clamp(min=0)
            free = torch.linalg.vecdot(square, 1 - at)
            larger = torch.where(free > 0, (rest / nonzero(free)).sqrt(), at_most).clamp(max=at_most)
            larger = torch.maximum(larger, scale)
            if torch.equal(larger, scale):
                break
            scale = larger
            full = scale[:, None] * magnitude >= cap
    grown = torch.where(torch.isinf(scale)[:, None], cap, torch.minimum(scale[:, None] * magnitude, cap))
    return d.sign() * grown.reshape(d.shape)


def grow(pay: Tensor, speed: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
    """min(s * speed, cap) with the smallest s for which sum(pay * that) = gap [B]: all [B, n] >= 0, exact.

    The sum is concave and piecewise linear in s, so Newton's steps from 0 never go too far, and end on the right piece.
    """
    worth, slope = pay * cap, pay * speed
    enough = worth.sum(1) > gap
    s = torch.zeros_like(gap)
    for _ in range(pay.shape[1] + 1):
        full = (s[:, None] * speed >= cap).to(pay.dtype)
        rest = torch.linalg.vecdot(slope, 1 - full)
        missing = gap - torch.linalg.vecdot(worth, full)
        larger = torch.where(enough & (rest > 0), torch.maximum(missing / nonzero(rest), s), s)
        if torch.equal(larger, s):
            break
        s = larger
    return torch.where(enough[:, None], torch.minimum(s[:, None] * speed, cap), cap)


def peak_cut(magnitude: Tensor, weight: Tensor) -> Tensor:
    """The cut >= 0 with sum_i max(m_i - cut, 0) = weight [B], 0 where the sum of all m_i [B, n] is less. Exact.

    Let those above the cut be known: then it is linear. Each round drops those that the new cut leaves behind; it only
    rises, so this ends (Michelot 1986, doi:10.1007/BF00938486).
    """
    count = torch.full_like(weight, magnitude.shape[1])
    cut = (magnitude.sum(1) - weight) / count.clamp(min=1)
    for _ in range(magnitude.shape[1]):
        above = (magnitude > cut[:, None]).to(magnitude.dtype)
        fewer = above.sum(1)
        if torch.equal(fewer, count):
            break
        count = fewer
        cut = torch.where(count > 0, (torch.linalg.vecdot(magnitude, above) - weight) / count.clamp(min=1), cut)
    return cut.clamp(min=0)


def l1_cut(magnitude: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """The cut >= 0 with sum_i clip(m_i - cut, 0, cap_i) = eps: [B, n], [B, n], [B] -> [B], all in float64.

    The sum falls with the cut and is piecewise linear: a piece ends where a pixel starts (cut = m_i) and where it is
    full (cut = m_i - cap_i). Newton's steps between two bounds, halved where they leave them, end on the right piece,
    mostly after 5 to 10 rounds. Rows that take too long are sorted.
    """
    eps = eps.double()
    low, high = torch.zeros_like(eps), magnitude.amax(1) if magnitude.shape[1] else torch.zeros_like(eps)
    cut, none = torch.zeros_like(eps), torch.zeros_like(cap)
    settled = torch.zeros_like(eps, dtype=torch.bool)
    for _ in range(ROUNDS):
        kept = (magnitude - cut[:, None]).clamp_(none, cap)
        total, growing = kept.sum(1), (kept > 0).logical_and_(kept < cap).sum(1)
        over = total > eps
        low, high = torch.where(over, cut, low), torch.where(over, high, torch.minimum(high, cut))
        step = cut + (total - eps) / growing.clamp(min=1)
        inside = (growing > 0) & (step >= low) & (step <= high)
        settled |= (total - eps).abs() <= 1e-13 * eps
        if bool(settled.all()):
            break
        cut = torch.where(settled, cut, torch.where(inside, step, (low + high) / 2))
    kept = (magnitude - cut[:, None]).clamp_(none, cap)
    rising, full = (kept > 0) & (kept < cap), (kept >= cap) & (kept > 0)
    spent = magnitude.where(rising, 0).sum(1) + cap.where(full, 0).sum(1)  # not by differences of near numbers
    cut = torch.where(rising.any(1), (spent - eps) / rising.sum(1).clamp(min=1), cut).clamp(min=0)
    late = (~settled).nonzero().squeeze(1)
    return cut.index_copy(0, late, _sorted_cut(magnitude[late], cap[late], eps[late])) if len(late) else cut


def _sorted_cut(magnitude: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """The same from the sorted kinks, from above until the sum reaches eps."""
    kinks = torch.cat([magnitude, magnitude - cap], 1)
    turn = torch.cat([torch.ones_like(magnitude), -torch.ones_like(magnitude)], 1)
    kinks, order = kinks.sort(1, descending=True)
    slope = turn.gather(1, order).cumsum(1)  # how many pixels grow below each kink
    total = torch.cat([torch.zeros_like(kinks[:, :1]), (slope[:, :-1] * -kinks.diff(dim=1)).cumsum(1)], 1)
    at = torch.searchsorted(total, eps[:, None], right=True).clamp(1, kinks.shape[1]) - 1
    start, grown, growing = (values.gather(1, at).squeeze(1) for values in (kinks, total, slope))
    cut = start - (eps - grown) / growing.clamp(min=1)
    return cut.clamp(min=0)


def keep_top(d: Tensor, worth: Tensor, eps: Tensor) -> Tensor:
    """The nonzero(eps) features of each row that are worth most, the others set to 0."""
    flat, n = worth.flatten(1), worth[0].numel() if len(worth) else 0
    count = torch.where(torch.isinf(eps), n, eps.floor()).clamp(max=n).long()
    rank = flat.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
    return d * (rank < count[:, None]).reshape(d.shape)
