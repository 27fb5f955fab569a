"""Fewer values a pixel: colour depth reduction, the first of the feature squeezers (Xu et al. 2018, arXiv:1704.01155).

Its own gradient is zero everywhere; rounding moves a pixel little, so the identity stands for it (arXiv:1802.00420).
"""

from __future__ import annotations

from torch import Tensor

from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("levels")
class Levels:
    """Every pixel at the nearest of `n` values, evenly spread over the box.

    >>> import torch
    >>> Levels(3)(torch.tensor([0.1, 0.3, 0.9]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    backward: Backward = "straight_through"
    random = False

    def __init__(self, n: int, *, box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not isinstance(n, int) or n < 2:
            raise InputError(f"levels is {n!r}; it must be a whole number of at least 2")
        self.n, self.box = n, box

    def __call__(self, x: Tensor) -> Tensor:
        low, high = self.box
        share = (x - low) / (high - low)
        return (share * (self.n - 1)).round() / (self.n - 1) * (high - low) + low


@register_stage("bits")
class Bits(Levels):
    """Every pixel with `n` bits, 2**n values."""

    def __init__(self, n: int, *, box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not isinstance(n, int) or not 1 <= n <= 16:
            raise InputError(f"bits is {n!r}; it must be a whole number from 1 to 16")
        super().__init__(2**n, box=box)
