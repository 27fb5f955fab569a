"""Inputs of any shape as pictures, for what needs a height and a width."""

from __future__ import annotations

from torch import Tensor


def as_pictures(z: Tensor) -> Tensor:
    """[b, ...] as [b, C, H, W]: a vector is one line of pixels, leading dimensions beyond three become channels.

    >>> import torch
    >>> as_pictures(torch.zeros(2, 5)).shape, as_pictures(torch.zeros(2, 4, 5)).shape
    (torch.Size([2, 1, 1, 5]), torch.Size([2, 1, 4, 5]))
    """
    return z if z.dim() == 4 else z.reshape(len(z), *[1] * max(0, 4 - z.dim()), *z.shape[1:]).flatten(1, -3)
