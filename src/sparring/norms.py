"""L0, L1, L2 and Linf as values.

A norm knows how large a perturbation is (`size`), the nearest allowed perturbation (`project`, exact together
with the box), the best direction of unit size for a gradient (`steepest`), the perturbation that gains most under
a linear model (`linear_maximizer`) and how to draw one (`sample`). Attacks hold a norm and never branch on it.

Everything works on perturbations d = x' - x of shape [B, ...] between per-pixel bounds low <= d <= high, where
low = box low - x <= 0 <= high. `eps` is [B].
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.kernels import grow, keep_top, l1_cut, nonzero, peak_cut, radius, room, shrink, unit_peak
from sparring.kernels import per as per
from sparring.rng import Noise


class Norm:
    """A way to measure perturbations. Use the values `L0`, `L1`, `L2`, `Linf`."""

    name: str
    p: float
    sparse = False
    "a step spends all on few pixels, see `moved`"
    dual: float
    "the exponent q of the dual norm, 1/p + 1/q = 1: by this norm of a gradient a step pays"

    def __repr__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Norm) and self.name == other.name

    def moved(self, pixels: int) -> int:
        """How many of so many pixels a step moves."""
        return pixels

    def size(self, d: Tensor) -> Tensor:
        """[B, ...] -> [B]."""
        return _length(d, self.p)

    def dual_size(self, g: Tensor) -> Tensor:
        """The dual norm of gradients: [B, ...] -> [B]."""
        size: Tensor = torch.linalg.vector_norm(g.flatten(1), self.dual, dim=1)
        return size

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The nearest (Euclidean) perturbation of at most this size between the bounds."""
        raise NotImplementedError

    def steepest(self, g: Tensor) -> Tensor:
        """The direction of size 1 that gains most along `g`; pixels with a zero gradient stay."""
        raise NotImplementedError

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The allowed perturbation with the largest <g, d>: what a linear model would lose most by."""
        raise NotImplementedError

    def to_hyperplane(self, g: Tensor, gap: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """The smallest perturbation d between the bounds with <g, d> = gap [B], of either sign: a hyperplane hit.

        Where the bounds do not let it get there, the one that comes nearest to it.
        """
        g = g * per(torch.where(gap < 0, -1.0, 1.0), g)
        pay, cap = g.abs().flatten(1).double(), torch.where(g > 0, high, -low).flatten(1).double()
        cap = torch.where(pay > 0, cap, 0)
        return g.sign() * self._spend(pay, cap, gap.abs().double()).to(g.dtype).reshape(g.shape)

    def _spend(self, pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
        """The smallest 0 <= d <= cap [B, n] with sum(pay * d) = gap [B], or cap where that is less."""
        raise NotImplementedError

    def prox(self, d: Tensor, weight: Tensor) -> Tensor:
        """argmin_u |u - d|_2^2 / 2 + weight * |u|, row by row, without bounds: [B, ...], [B] -> [B, ...]."""
        raise NotImplementedError

    def sample(self, noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """A random allowed perturbation, uniform in the ball before the box takes its share."""
        raise NotImplementedError

    def squash(self, d: Tensor, eps: Tensor) -> Tensor:
        """Any perturbation moved smoothly into the ball, small ones hardly: [B, ...], [B] -> [B, ...].

        Nets that make perturbations end in it: unlike a projection it cuts off no gradient.
        """
        size = nonzero(self.size(d))
        return d * per(eps * (size / eps).tanh() / size, d)


def _length(d: Tensor, p: float) -> Tensor:
    """The p-norm of each row [B, ...]: [B]. On a CPU, torch's own takes many times as long for 1 and infinity."""
    flat = d.flatten(1)
    if p == 1:
        return flat.abs().sum(1)
    if p == float("inf"):
        return flat.abs().amax(1) if d.numel() else d.new_zeros(len(d))
    length: Tensor = torch.linalg.vector_norm(flat, p, dim=1)
    return length


class _Linf(Norm):
    name, p, dual = "Linf", float("inf"), 1.0

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        e = per(eps, d)
        return d.clamp(torch.maximum(low, -e), torch.minimum(high, e))

    def steepest(self, g: Tensor) -> Tensor:
        return g.sign()

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        e = per(eps, g)
        return torch.where(g > 0, torch.minimum(high, e), torch.where(g < 0, torch.maximum(low, -e), 0))

    def _spend(self, pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
        return grow(pay, (pay > 0).to(pay.dtype), cap, gap)

    def squash(self, d: Tensor, eps: Tensor) -> Tensor:
        e = per(eps, d)
        return e * (d / e).tanh()

    def prox(self, d: Tensor, weight: Tensor) -> Tensor:
        cut = per(peak_cut(d.flatten(1).abs(), weight), d)  # Moreau: what the projection onto the dual ball leaves over
        return torch.minimum(d, cut).maximum(-cut)

    def sample(self, noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        e = per(eps, low)
        low, high = torch.maximum(low, -e), torch.minimum(high, e)  # two boxes: uniform in what they share
        return low + (high - low) * noise.uniform(*low.shape[1:], dtype=low.dtype)


class _L2(Norm):
    name, p, dual = "L2", 2.0, 2.0

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        return shrink(d, eps, low, high, at_most=1.0)

    def steepest(self, g: Tensor) -> Tensor:
        g = unit_peak(g)
        return g.div_(per(nonzero(self.size(g)), g))

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        g = unit_peak(g)
        g = g.masked_fill(g.abs() < 1e-15, 0)  # nothing to gain there, and its square would underflow
        return shrink(g, eps, low, high, at_most=float("inf"))

    def _spend(self, pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
        return grow(pay, pay, cap, gap)

    def prox(self, d: Tensor, weight: Tensor) -> Tensor:
        return d * per((1 - weight / nonzero(self.size(d))).clamp(min=0), d)

    def sample(self, noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        d = self.steepest(noise.normal(*low.shape[1:], dtype=low.dtype))
        return self.project(d * per(radius(noise, eps, low, high), d), eps, low, high)


class _L1(Norm):
    name, p, dual, sparse = "L1", 1.0, float("inf"), True

    share = 0.01
    "of the pixels, the most that one step moves: SLIDE (Tramer & Boneh 2019, arXiv:1904.13000)"

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        """d_i = sign * clip(|d_i| - cut, 0, cap_i), the cut from its sorted breakpoints: exact, O(n log n)."""
        magnitude, cap = d.flatten(1).abs(), room(d, low, high).abs_().flatten(1)
        kept = torch.minimum(magnitude, cap)
        over = (kept.sum(1) > eps).nonzero().squeeze(1)
        if not len(over):
            return d.clamp(low, high)
        if len(over) == len(d):
            kept = _cut_off(magnitude, cap, eps)
        else:
            kept[over] = _cut_off(magnitude[over], cap[over], eps[over])
        return d.sign() * kept.reshape(d.shape)

    def moved(self, pixels: int) -> int:
        return max(1, int(self.share * pixels))

    def steepest(self, g: Tensor) -> Tensor:
        top = self.moved(g[0].numel()) if len(g) else 1
        flat = g.flatten(1).abs()
        chosen = (flat >= flat.topk(top, 1).values[:, -1:]) & (flat > 0)
        step = g.flatten(1).sign() * chosen
        return (step / nonzero(step.abs().sum(1))[:, None]).reshape(g.shape)

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        pay, cap = g.abs().flatten(1), torch.where(g > 0, high, -low).flatten(1)
        order = pay.argsort(1, descending=True)
        sorted_cap = cap.gather(1, order)
        left = (eps[:, None] - (sorted_cap.cumsum(1) - sorted_cap)).clamp(min=0)  # what dearer pixels leave over
        spent = torch.zeros_like(cap).scatter(1, order, torch.minimum(sorted_cap, left))
        return g.sign() * spent.reshape(g.shape)

    def _spend(self, pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
        order = pay.argsort(dim=1, descending=True, stable=True)
        dear, room = pay.gather(1, order), cap.gather(1, order)
        gained = dear * room
        missing = (gap[:, None] - (gained.cumsum(1) - gained)).clamp(min=0)
        return torch.zeros_like(cap).scatter(1, order, torch.minimum(room, missing / nonzero(dear)))

    def prox(self, d: Tensor, weight: Tensor) -> Tensor:
        cut = per(weight, d)
        kept = torch.minimum(d, cut)
        torch.maximum(kept, -cut, out=kept)
        return torch.sub(d, kept, out=kept)

    def sample(self, noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        shape = low.shape[1:]
        d = -(1 - noise.uniform(*shape, dtype=low.dtype)).log() * noise.signs(*shape, dtype=low.dtype)
        return self.project(d * per(radius(noise, eps, low, high) / nonzero(self.size(d)), d), eps, low, high)


def _cut_off(magnitude: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """Magnitudes [B, n] less what brings the sum of those that are left, at most `cap`, down to eps [B]."""
    cut = l1_cut(magnitude, cap, eps)[:, None]
    rest = (magnitude.double() - cut).clamp_(min=0)  # of many pixels: the roundings of one cut would add up
    return torch.minimum(rest.to(magnitude.dtype), cap)


class _L0(Norm):
    name, p, dual = "L0", 0.0, 2.0

    def size(self, d: Tensor) -> Tensor:
        return (d != 0).flatten(1).sum(1).to(d.dtype)

    def project(self, d: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        inside = d.clamp(low, high)
        gain = d.square() - (d - inside).square()  # what keeping this feature is worth, the box considered
        return keep_top(inside, gain, eps)

    def steepest(self, g: Tensor) -> Tensor:
        return L2.steepest(g)  # the projection makes it sparse

    def linear_maximizer(self, g: Tensor, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        d = torch.where(g > 0, high, torch.where(g < 0, low, 0))
        return keep_top(d, g * d, eps)

    def _spend(self, pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
        gain, order = (pay * cap).sort(dim=1, descending=True, stable=True)
        needed = (gain.cumsum(1) - gain < gap[:, None] * (1 - 1e-12)) & (gain > 0)
        return cap * torch.zeros_like(cap).scatter(1, order, needed.to(cap.dtype))

    def prox(self, d: Tensor, weight: Tensor) -> Tensor:
        """Of the 2/3 quasi-norm sum |u|^(2/3), the nearest to L0 that still shrinks (Cao et al. 2013, in closed form).

        A hard threshold would move nothing between its jumps.
        """
        twice = per(2 * weight, d).clamp(min=torch.finfo(d.dtype).tiny ** 0.5)
        size = d.abs()
        stays = size > 2 / 3 * (3 * twice**3) ** 0.25
        angle = (27 / 16 * d.square() * twice**-1.5).clamp(min=1).acosh() / 3
        root = 2 / 3**0.5 * twice**0.25 * angle.cosh().sqrt()
        grown = ((root + (2 * size / root - root.square()).clamp(min=0).sqrt()) / 2) ** 3
        return torch.where(stays, d.sign() * grown, 0).where(per(weight, d) > 0, d)

    def sample(self, noise: Noise, eps: Tensor, low: Tensor, high: Tensor) -> Tensor:
        shape = low.shape[1:]
        d = low + (high - low) * noise.uniform(*shape, dtype=low.dtype)
        return keep_top(d, noise.uniform(*shape, dtype=low.dtype), eps)


L0, L1, L2, Linf = _L0(), _L1(), _L2(), _Linf()
NORMS: tuple[Norm, ...] = (L0, L1, L2, Linf)


def norm(value: Norm | str | float) -> Norm:
    """A norm from however people write it: "Linf", "linf", "inf", float("inf"), 2, L2.

    >>> norm("linf"), norm(2)
    (Linf, L2)
    """
    if isinstance(value, Norm):
        return value
    text = str(value).lower().removeprefix("l").removesuffix(".0").removeprefix("_")
    for known in NORMS:
        if text in (known.name.lower().removeprefix("l"), {"Linf": "infinity"}.get(known.name)):
            return known
    raise InputError(f"norm {value!r} is not known; the norms are L0, L1, L2 and Linf")
