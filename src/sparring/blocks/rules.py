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
