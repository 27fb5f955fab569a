"""Each pixel the median of its neighbourhood: local smoothing of feature squeezing (Xu et al. 2018, arXiv:1704.01155).

A median is one of its pixels, so that its own gradient is right.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import pad

from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("median")
class Median:
    """The median of `size` x `size` pixels, mirrored at the edges; of an even number, the upper one.

    >>> import torch
    >>> x = torch.zeros(1, 1, 3, 3)
    >>> x[0, 0, 1, 1] = 1
    >>> bool(Median(3)(x).any())
    False
    """

    backward: Backward = "exact"
    random = False

    def __init__(self, size: int = 2, *, box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not isinstance(size, int) or not 2 <= size <= 15:
            raise InputError(f"size is {size!r}; it must be a whole number from 2 to 15")
        self.size = size

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as many."""
        if x.dim() != 4 or min(x.shape[2:]) < self.size:
            raise InputError(f"median:{self.size} takes larger pictures [B, C, H, W]; these are {tuple(x.shape)}")
        before, after = self.size // 2, (self.size - 1) // 2
        windows = pad(x, (before, after, before, after), mode="reflect").unfold(2, self.size, 1).unfold(3, self.size, 1)
        return windows.flatten(4).kthvalue(self.size**2 // 2 + 1, 4).values
