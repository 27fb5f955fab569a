"""Rules that turn a gradient into the direction of a step. State goes in and out, so attacks stay frozen.

A rule is called as `direction, memory = rule(gradient, memory)` with gradients [b, ...] and a dict of tensors
[b, ...], empty at the start of a run; rows that leave the bout leave the memory too. A rule keeps what others have
put into the memory.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import AfterValidator, Field
from torch import Tensor

from sparring.errors import InputError
from sparring.norms import per

Memory = dict[str, Tensor]
Rule = Callable[[Tensor, Memory], tuple[Tensor, Memory]]


def plain(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
    """The gradient itself."""
    return g, memory


def momentum(decay: float) -> Rule:
    """m = decay * m + g / |g|_1 (Dong et al. 2018, arXiv:1710.06081). A zero gradient leaves m as it is."""

    def rule(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        length = per(g.flatten(1).abs().mean(1), g)  # the mean, not the sum: the same direction at any image size
        fresh = torch.where(length > 0, g / length.clamp(min=torch.finfo(g.dtype).tiny), 0)
        m = fresh if "momentum" not in memory else decay * memory["momentum"] + fresh
        return m, {**memory, "momentum": m}

    return rule


def adam(fast: float = 0.9, slow: float = 0.999, floor: float = 1e-8) -> Rule:
    """Mean gradient over its root mean square, both unbiased (Kingma & Ba 2015, arXiv:1412.6980); rows on their own.

    Leaves the root mean square in the memory, as "metric": what proximal steps measure by.
    """

    def rule(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        if "mean" not in memory:
            blank = {"mean": torch.zeros_like(g), "square": torch.zeros_like(g), "count": g.new_zeros(len(g))}
            memory = {**memory, **blank}
        spare = (1 - fast) * g
        mean = (fast * memory["mean"]).add_(spare)
        square = (slow * memory["square"]).add_(torch.mul(g, g, out=spare).mul_(1 - slow))
        count = memory["count"] + 1
        metric = (square / per(1 - slow**count, g)).sqrt_().add_(floor)
        direction = (mean / per(1 - fast**count, g)).div_(metric)
        return direction, {**memory, "mean": mean, "square": square, "count": count, "metric": metric}

    return rule


def rmsprop(keep: float, floor: float = 1e-8) -> Rule:
    """A running sum of gradients over their root mean square, which starts at 1 (Tieleman & Hinton 2012)."""

    def rule(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        if "sum" not in memory:
            memory = {**memory, "square": torch.ones_like(g), "sum": torch.zeros_like(g)}
        square = (keep * memory["square"]).addcmul_(g, g, value=1 - keep)
        total = (keep * memory["sum"]).addcdiv_(g, square.sqrt().add_(floor))
        return total, {**memory, "square": square, "sum": total}

    return rule


def smoothed(side: int, rule: Rule) -> Rule:
    """`rule` on gradients blurred by `gaussian(side)`, each channel by itself (Dong et al. 2019, arXiv:1904.02884).

    Vectors [b, d] have no neighbouring pixels and stay as they are.
    """
    if side == 1:
        return rule

    def blur(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        if g.dim() < 4:
            return rule(g, memory)
        planes = g.reshape(-1, 1, *g.shape[-2:])
        return rule(F.conv2d(planes, gaussian(side, g)[None, None], padding=side // 2).reshape(g.shape), memory)

    return blur


def gaussian(side: int, like: Tensor) -> Tensor:
    """A kernel [side, side] that sums to 1, `side` odd: the normal density at `side` places from -3 to 3, each way."""
    at = torch.linspace(-3, 3, side, dtype=torch.float64)
    taps = (-at.square() / 2).exp()
    return (torch.outer(taps, taps) / taps.sum().square()).to(like)


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise InputError(f"a kernel of side {side} has no middle; give an odd number")
    return side


Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]
"""The side of a kernel as a field of an attack; 1 = leave things as they are."""
