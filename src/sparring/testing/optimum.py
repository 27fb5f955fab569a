"""The smallest perturbation that fools an affine classifier, in closed form, the box considered.

Written without `sparring.norms`, in float64 and by other means (bisection instead of sorted kinks), so that a mistake
there cannot hide behind the same mistake here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def halfspace_distance(norm: str, slope: Tensor, gap: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """min ||d|| such that <slope, d> >= gap and low <= d <= high, row by row; inf where the box forbids it.

    Args:
        norm: "L0", "L1", "L2" or "Linf". slope: [B, n]. gap: [B] > 0. low, high: [B, n], low <= 0 <= high.

    >>> one, gap = torch.ones(1, 2), torch.tensor([1.0])
    >>> halfspace_distance("L2", one, gap, -9 * one, 9 * one)
    tensor([0.7071], dtype=torch.float64)
    """
    pay, gap = slope.abs().double(), gap.double()
    cap = torch.where(slope > 0, high, -low).double()  # how far each pixel can go in the direction that pays
    reach = (pay * cap).sum(1)
    found = _SOLVERS[norm](pay, cap, gap.clamp(max=reach))
    return torch.where(gap <= reach, found, torch.inf).where(gap > 0, 0.0)


def _linf(pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
    return _bisect(lambda e: (pay * torch.minimum(cap, e[:, None])).sum(1), gap, cap.amax(1))


def _l2(pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
    most = (cap / pay.clamp(min=1e-12)).amax(1)
    scale = _bisect(lambda s: (pay * torch.minimum(cap, s[:, None] * pay)).sum(1), gap, most)
    return torch.minimum(cap, scale[:, None] * pay).square().sum(1).sqrt()


def _l1(pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
    """Pixels in the order of what a unit of change pays, each to its end, the last one in part."""
    dear = pay.argsort(1, descending=True)
    pay, cap = pay.gather(1, dear), cap.gather(1, dear)
    missing = (gap[:, None] - (pay * cap).cumsum(1) + pay * cap).clamp(min=0)  # what the pixels before left over
    return torch.minimum(cap, missing / pay.clamp(min=1e-12)).sum(1)


def _l0(pay: Tensor, cap: Tensor, gap: Tensor) -> Tensor:
    """Pixels in the order of what going to the end pays."""
    gain = (pay * cap).sort(1, descending=True).values.cumsum(1)
    return 1.0 + (gain < gap[:, None] * (1 - 1e-12)).sum(1).double()


def _bisect(gain: Callable[[Tensor], Tensor], gap: Tensor, high: Tensor) -> Tensor:
    """The smallest argument at which the growing function `gain` reaches `gap`: [B] -> [B]."""
    low = torch.zeros_like(high)
    for _ in range(200):
        middle = (low + high) / 2
        enough = gain(middle) >= gap
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return high


_SOLVERS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {"L0": _l0, "L1": _l1, "L2": _l2, "Linf": _linf}
