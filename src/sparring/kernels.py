"""The arithmetic below the norms: exact fills of capped pixels along a ray, and rows scaled without underflow.

All of it works row by row on [B, n] or [B, ...] tensors; nothing here knows what an attack is.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.rng import Noise

ROUNDS = 24
"of Newton's steps before a row is sorted"
GROUP, LARGE = 8, 1024
"pixels of which the largest gives a first idea, and from how many on that is worth while by itself"


def per(values: Tensor, like: Tensor) -> Tensor:
    """Shape [B] values so that they broadcast against `like` [B, ...]."""
    return values.reshape(-1, *[1] * (like.dim() - 1))


def unit_peak(g: Tensor) -> Tensor:
    """Scaled so that the largest entry is 1: squares of it can neither underflow nor overflow."""
    scaled = g.abs()
    peak = scaled.flatten(1).amax(1)
    return torch.div(g, per(nonzero(peak), g), out=scaled)


def radius(noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """[B] radii of points uniform in a ball of so many dimensions; without an eps, one that reaches across the box."""
    n = max(1, low[0].numel())
    reach = torch.where(eps.isfinite(), eps, n * (high - low).flatten(1).amax(1))
    return reach * noise.uniform(1, dtype=low.dtype).squeeze(1) ** (1 / n)


def nonzero(size: Tensor) -> Tensor:
    """Sizes to divide by: a zero stays harmless, a tiny gradient keeps its direction."""
    return size.clamp(min=torch.finfo(size.dtype).tiny)


def room(d: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """How far each pixel may go where `d` points to, with its sign: the end of the box, low <= 0 <= high, or 0."""
    # Choosing by a mask of booleans costs twenty times as much on a CPU. A subnormal d gets at least its own size.
    return torch.mul(d, torch.finfo(d.dtype).max).clamp_(low, high)


def shrink(d: Tensor, eps: Tensor, low: Tensor, high: Tensor, at_most: float) -> Tensor:
    """clip(s * d, low, high) with the largest s <= at_most for which its L2 size is <= eps. Exact.

    Let the pixels at their bound be known: then s solves a quadratic. Each round adds those that the new s drives
    into their bound; s only grows, so this ends, mostly after 2 to 6 rounds (Michelot 1986, doi:10.1007/BF00938486).
    """
    cap = room(d, low, high)
    side = cap.sign()
    free = (d * side).flatten(1)  # the magnitude of d, without the pixels that have no room at all
    cap = cap.abs_().flatten(1)
    most = min(at_most, torch.finfo(d.dtype).max)
    square, budget = free.square(), eps.square()
    whole, enough = square.sum(1), budget * (1 - 8 * torch.finfo(d.dtype).eps)
    scale = torch.where(whole > 0, (budget / nonzero(whole)).sqrt(), most).clamp(max=most)  # nothing is full yet
    grown = torch.mul(free, scale[:, None])
    torch.minimum(grown, cap, out=grown)
    full, part = torch.empty_like(grown), torch.empty_like(grown)
    for turn in range(grown.shape[1]):
        torch.ne(grown, cap, out=full)  # 1 = not yet
        slack = torch.mul(square, full, out=part).sum(1)
        if not turn and torch.equal(slack, whole):
            break
        used = torch.mul(cap, full.eq_(0), out=part).mul_(cap).sum(1)
        rest = (budget - used).clamp(min=0)
        larger = torch.where(slack > 0, (rest / nonzero(slack)).sqrt(), most).clamp(max=most)
        larger = torch.maximum(larger, scale)
        if torch.equal(larger, scale):
            break
        scale = larger
        torch.minimum(torch.mul(free, scale[:, None], out=grown), cap, out=grown)
        size = torch.mul(grown, grown, out=part).sum(1)
        if bool((size >= enough).logical_or_(scale >= most).all()):
            break
    return side.mul_(grown.reshape(d.shape))


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

    The sum falls with the cut, is convex and piecewise linear: Newton's steps from below never go too far. It is
    linear once a step leaves no more pixels behind (Michelot 1986, doi:10.1007/BF00938486). In large images, it starts
    at the cut of the largest of each `GROUP` pixels.
    """
    n = magnitude.shape[1]
    if not n:
        return torch.zeros_like(weight)
    if n >= LARGE:
        cut = peak_cut(_largest(magnitude), weight)
    else:
        cut = torch.maximum(magnitude.mean(1) - weight / n, magnitude.amax(1) - weight).clamp(min=0)
    count, above = torch.full_like(weight, torch.nan), torch.empty_like(magnitude)
    for _ in range(n):
        torch.sub(magnitude, cut[:, None], out=above).clamp_(min=0)
        over = above.sum(1) - weight
        fewer = above.sign_().sum(1)
        cut = cut + (over / fewer.clamp(min=1)).clamp(min=0)
        if torch.equal(fewer, count):
            break
        count = fewer
    return cut


def _largest(magnitude: Tensor) -> Tensor:
    """The largest of each `GROUP` pixels, taken from all over the image: [B, n] -> [B, n // GROUP]."""
    few = magnitude.shape[1] // GROUP
    return magnitude[:, : few * GROUP].reshape(len(magnitude), GROUP, few).amax(1)


def l1_cut(magnitude: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """The cut >= 0 with sum_i clip(m_i - cut, 0, cap_i) = eps: [B, n], [B, n], [B] -> [B] in float64.

    The sum falls with the cut and is piecewise linear: a piece ends where a pixel starts (cut = m_i) and where it is
    full (cut = m_i - cap_i). Newton's steps between two bounds, halved where they leave them, end on the right piece,
    mostly after 3 to 5 rounds; they start at the cut of the largest of each `GROUP` pixels with any room. Rows that
    take too long are sorted. The piece is found in the type of the magnitudes, the place on it from sums in float64.
    """
    near = 1e-13 if magnitude.dtype is torch.float64 else 5e-7
    wanted = eps.to(magnitude.dtype)
    low, high = torch.zeros_like(wanted), magnitude.amax(1) if magnitude.shape[1] else torch.zeros_like(wanted)
    settled, above, spare = torch.zeros_like(wanted), torch.empty_like(magnitude), torch.empty_like(magnitude)
    cut = peak_cut(_largest(torch.mul(magnitude, cap.sign(), out=spare)), wanted)
    for _ in range(ROUNDS):
        torch.sub(magnitude, cut[:, None], out=above).clamp_(min=0)
        missing = torch.minimum(above, cap, out=spare).sum(1) - wanted
        full = torch.sub(above, cap, out=spare).clamp_(min=0).sign_().sum(1)
        growing = above.sign_().sum(1) - full
        settled = missing.abs() <= near * torch.addcmul(wanted, growing, cut)
        if bool(settled.all()):
            break
        over = missing > 0
        low, high = torch.where(over, cut, low), torch.where(over, high, cut)
        step = cut + missing / growing.clamp(min=1)
        cut = torch.where((step >= low) & (step <= high), step, (low + high) / 2)
    torch.sub(magnitude, cut[:, None], out=above).clamp_(min=0)
    full = torch.sub(above, cap, out=spare).sign_().add_(1).clamp_(max=1).mul_(above.sign_())  # 1 = no room is left
    rising = above.sub_(full)
    growing = rising.sum(1)
    spent = rising.mul_(magnitude).addcmul_(cap, full).sum(1, dtype=torch.float64)  # not by differences of near numbers
    cut = torch.where(growing > 0, (spent - eps) / growing.clamp(min=1), cut.double()).clamp(min=0)
    late = (settled == 0).nonzero().squeeze(1)
    if not len(late):
        return cut
    return cut.index_copy(0, late, _sorted_cut(magnitude[late].double(), cap[late].double(), eps[late].double()))


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
