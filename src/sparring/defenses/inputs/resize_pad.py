"""A random size at a random place (Xie et al. 2018, arXiv:1711.01991): the gradient is exact, but drawn anew each time.

Differs from the paper, whose net takes larger pictures than it is given: here pictures shrink and are padded back to
their own size, so that any net can stand behind it. Broken to 0 % by averaging over the draws (arXiv:1802.00420).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from sparring.defenses.draws import Draws
from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("resize-pad")
class ResizePad:
    """Shrunk to a share of the side between `smallest` and 1, put somewhere, the rest filled with the lowest pixel."""

    backward: Backward = "exact"
    random = True

    def __init__(self, smallest: float = 0.8, *, seed: int = 0, box: tuple[float, float] = (0.0, 1.0)) -> None:
        if not 0.1 <= smallest <= 1:
            raise InputError(f"smallest is {smallest}; it must be from 0.1 to 1")
        self.smallest, self.box, self.draws = float(smallest), box, Draws(seed)

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as many."""
        if x.dim() != 4:
            raise InputError(f"resize-pad takes pictures [B, C, H, W]; these are {tuple(x.shape)}")
        drawn = self.draws(x).uniform(3, dtype=x.dtype)
        share = self.smallest + (1 - self.smallest) * drawn[:, :1]
        place = (2 * drawn[:, 1:] - 1) * (1 - share)  # the middle of the small picture in [-1, 1]
        zero = torch.zeros_like(share)
        rows = torch.cat([1 / share, zero, -place[:, :1] / share, zero, 1 / share, -place[:, 1:] / share], 1)
        grid = affine_grid(rows.reshape(-1, 2, 3), list(x.shape), align_corners=False)
        low = self.box[0]
        return grid_sample(x - low, grid, align_corners=False) + low
