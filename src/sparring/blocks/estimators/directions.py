"""Random directions to probe along, drawn for each row: [b, count, *shape]."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.rng import Noise

Draw = Callable[[Noise, int, Tensor], Tensor]
"""(noise, count, like [b, ...]) -> directions [b, count, ...]."""


def gaussian(noise: Noise, count: int, like: Tensor) -> Tensor:
    """Standard normal, as in evolution strategies: [b, count, ...]."""
    return noise.normal(count, *like.shape[1:], dtype=like.dtype)


def signs(noise: Noise, count: int, like: Tensor) -> Tensor:
    """-1 or +1, each with probability one half, as in SPSA: [b, count, ...]."""
    return noise.signs(count, *like.shape[1:], dtype=like.dtype)


def sphere(noise: Noise, count: int, like: Tensor) -> Tensor:
    """Uniform on the unit sphere: [b, count, ...]."""
    u = gaussian(noise, count, like)
    size: Tensor = torch.linalg.vector_norm(u.flatten(2), dim=2)
    return u / size.clamp(min=1e-12).reshape(*size.shape, *[1] * (like.dim() - 1))
