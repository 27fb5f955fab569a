"""Total-variation minimisation (Guo et al. 2018, arXiv:1711.00117): the smoothest image near some of the pixels.

    z* = argmin  1/2 |m (z - x)|^2 + weight * TV(z),   m = a random mask that keeps a share of the pixels

by the primal-dual method of Chambolle & Pock 2011 (doi:10.1007/s10851-010-0251-1), all images at once. Differs from the
reference: isotropic TV without its smoothing constant, another solver, the mask per image and call.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparring.defenses.draws import Draws
from sparring.errors import InputError
from sparring.preprocess import Backward, register_stage


@register_stage("tv")
class TotalVariation:
    """Each channel by itself. `weight` is relative to the box; `keep` = 1 keeps all pixels, then nothing is random."""

    backward: Backward = "straight_through"
    random = True

    def __init__(
        self,
        weight: float = 0.03,
        keep: float = 0.5,
        steps: int = 100,
        *,
        seed: int = 0,
        box: tuple[float, float] = (0.0, 1.0),
    ) -> None:
        if weight <= 0 or not 0 < keep <= 1 or steps < 1:
            raise InputError(f"tv:weight={weight},keep={keep},steps={steps}: weight > 0, keep in (0, 1], steps >= 1")
        self.weight, self.keep, self.steps, self.box = weight, keep, steps, box
        self.random = keep < 1
        self.draws = Draws(seed)

    @torch.no_grad()
    def __call__(self, x: Tensor) -> Tensor:
        """[B, C, H, W] -> as many."""
        if x.dim() != 4:
            raise InputError(f"tv takes pictures [B, C, H, W]; these are {tuple(x.shape)}")
        low, high = self.box
        given = (x - low) / (high - low)
        mask = torch.ones_like(given)
        if self.keep < 1:
            noise = self.draws(x).uniform(1, *x.shape[2:])
            mask = (noise < self.keep).to(given).expand_as(given)
        z, over, step = given * mask, given * mask, 1 / 8**0.5
        down, right = torch.zeros_like(given), torch.zeros_like(given)
        for _ in range(self.steps):
            down = down + step * pad(over[:, :, 1:] - over[:, :, :-1], (0, 0, 0, 1))
            right = right + step * pad(over[..., 1:] - over[..., :-1], (0, 1))
            size = (down.square() + right.square()).sqrt().div(self.weight).clamp(min=1)
            down, right = down / size, right / size
            back = pad(down[:, :, :-1], (0, 0, 1, 0)) - down + pad(right[..., :-1], (1, 0)) - right
            before, z = z, (z - step * back + step * mask * given) / (1 + step * mask)
            over = 2 * z - before
        return z.clamp(0, 1) * (high - low) + low
