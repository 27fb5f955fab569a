"""Non-local means (Buades et al. 2005, doi:10.1109/CVPR.2005.38): pixels averaged by how alike their patches are.

The non-local smoothing of feature squeezing (arXiv:1704.01155), written with shifts, so that its own gradient is right.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("nlm")
class NonLocalMeans:
    """Weights exp(-d / strength^2), d the mean squared difference of two patches in parts of the box.

    Args:
        search, patch: odd sides of the window that is searched and of the patches.
        strength: differences much larger do not mix.
    """

    backward: Backward = "exact"
    random = False

    def __init__(
        self, search: int = 11, patch: int = 3, strength: float = 0.1, *, box: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        if search % 2 == 0 or patch % 2 == 0 or min(search, patch) < 1 or strength <= 0:
            raise InputError(f"nlm:{search},{patch},{strength}: odd sides of at least 1 and a strength > 0 are needed")
        self.search, self.patch, self.strength, self.box = search, patch, strength, box

    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as many."""
        reach, half = self.search // 2, self.patch // 2
        if x.dim() != 4 or min(x.shape[2:]) <= reach + half:
            raise InputError(f"nlm takes pictures [B, C, H, W] larger than its window; these are {tuple(x.shape)}")
        height, width = x.shape[2:]
        edge = reach + half
        wide = pad(x, (edge, edge, edge, edge), mode="reflect")
        scale = (self.strength * (self.box[1] - self.box[0])) ** 2

        def moved(down: int, right: int, border: int) -> Tensor:
            top, left = edge - border + down, edge - border + right
            return wide[..., top : top + height + 2 * border, left : left + width + 2 * border]

        total, weights = torch.zeros_like(x), torch.zeros_like(x[:, :1])
        for down in range(-reach, reach + 1):
            for right in range(-reach, reach + 1):
                apart = (moved(0, 0, half) - moved(down, right, half)).square().mean(1, keepdim=True)
                weight = (-avg_pool2d(apart, self.patch, 1) / scale).exp()
                total, weights = total + weight * moved(down, right, 0), weights + weight
        return total / weights
