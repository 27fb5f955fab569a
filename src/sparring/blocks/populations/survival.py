"""Who lives on in a population [b, P, ...]."""

from __future__ import annotations

import torch
from torch import Tensor


def replace(where: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """`new` for the individuals `where` bool [b, P], `old` for the others: [b, P, ...]."""
    return torch.where(where.reshape(*where.shape, *[1] * (new.dim() - 2)), new, old)
