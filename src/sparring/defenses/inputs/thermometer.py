"""Thermometer encoding (Buckman et al. 2018, OpenReview S18Su--CW): a pixel as `levels` bits, one a mark passed.

The net behind it has to be trained on such codes: C channels become C * levels. The twin replaces each step by the ramp
min(max(x - mark, 0), 1), which broke the defense (arXiv:1802.00420).
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("thermometer")
class Thermometer:
    """Bit k of a pixel says whether its share of the box exceeds k / levels.

    >>> Thermometer(4)(torch.tensor([[[[0.6]]]])).flatten().tolist()
    [1.0, 1.0, 1.0, 0.0]
    """

    backward: Backward = "straight_through"
    random = False

    def __init__(self, levels: int = 16, *, box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not isinstance(levels, int) or levels < 2:
            raise InputError(f"levels is {levels!r}; it must be a whole number of at least 2")
        self.levels, self.box = levels, box
        self.backward = self.twin

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> [B, C * levels, H, W] of 0 and 1."""
        return (self._above(x) > 0).to(x.dtype)

    def twin(self, x: Tensor) -> Tensor:
        """The ramps."""
        return self._above(x).clamp(0, 1)

    def _above(self, x: Tensor) -> Tensor:
        if x.dim() != 4:
            raise InputError(f"thermometer takes pictures [B, C, H, W]; these are {tuple(x.shape)}")
        low, high = self.box
        marks = torch.arange(self.levels, dtype=x.dtype, device=x.device) / self.levels
        share = (x - low) / (high - low)
        return (share[:, :, None] - marks[:, None, None]).flatten(1, 2)
