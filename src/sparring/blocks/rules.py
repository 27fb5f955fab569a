"""Rules that turn a gradient into the direction of a step. State goes in and out, so attacks stay frozen.

A rule is called as `direction, memory = rule(gradient, memory)` with gradients [b, ...] and a dict of tensors
[b, ...], empty at the start of a run; rows that leave the bout leave the memory too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

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
        return m, {"momentum": m}

    return rule


def adam(fast: float = 0.9, slow: float = 0.999, floor: float = 1e-8) -> Rule:
    """Mean gradient over its root mean square, both unbiased (Kingma & Ba 2015, arXiv:1412.6980); rows on their own."""

    def rule(g: Tensor, memory: Memory) -> tuple[Tensor, Memory]:
        if not memory:
            memory = {"mean": torch.zeros_like(g), "square": torch.zeros_like(g), "count": g.new_zeros(len(g))}
        mean = fast * memory["mean"] + (1 - fast) * g
        square = slow * memory["square"] + (1 - slow) * g.square()
        count = memory["count"] + 1
        unbiased = mean / per(1 - fast**count, g)
        direction = unbiased / ((square / per(1 - slow**count, g)).sqrt() + floor)
        return direction, {"mean": mean, "square": square, "count": count}

    return rule
