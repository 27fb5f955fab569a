"""A diffusion model of images: a net that predicts the noise in a noisy image, and so finds the way back from noise.

    x_t = sqrt(a) x + sqrt(1 - a) noise,   a = exp(-(0.1 t + 9.95 t^2)),   t from 0 to 1

Ho, Jain & Abbeel 2020, arXiv:2006.11239; steps back of any width as in Song, Meng & Ermon 2021, arXiv:2010.02502.
Differs from Ho et al.: time is a real number, the schedule that of the variance preserving SDE (arXiv:2011.13456), of
which their 1,000 steps are samples. Pixels are [-1, 1] inside.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.generators.pairs import Generator


class Diffusion(Generator):
    """z [B, 784], standard normal -> pixels [B, 1, 28, 28] in [0, 1], by `steps` steps back without new noise (DDIM).

    Args:
        net: noisy pixels [B, 1, 28, 28] and times [B] -> the noise in them.
    """

    projects = False

    def __init__(self, net: nn.Module, *, steps: int = 20, name: str = "") -> None:
        super().__init__(net, 784, name=name)
        self.steps = steps

    def forward(self, z: Tensor) -> Tensor:
        """See above."""
        x = z.reshape(-1, 1, 28, 28)
        for t, s in pairwise(torch.linspace(1, 0, self.steps + 1).tolist()):
            x = self.back(x, t, s, clip=True)
        return (x.clamp(-1, 1) + 1) / 2

    def loss(self, x: Tensor) -> Tensor:
        """The mean squared error of the predicted noise for pixels [B, 1, 28, 28] in [0, 1], times spread evenly."""
        n = len(x)
        t = ((torch.arange(n) + torch.rand(n)) / n).clamp(1e-3, 1).to(x)
        noise = torch.randn(x.shape).to(x)
        guess: Tensor = self.net(noised(2 * x - 1, t, noise), t)
        return (guess - noise).square().mean()

    def back(self, x: Tensor, t: float, s: float, noise: Tensor | None = None, *, clip: bool = False) -> Tensor:
        """From time `t` back to `s` < `t`: pixels [B, 1, 28, 28] in [-1, 1] and beyond.

        Args:
            noise: standard normal, for the random step of DDPM; None = DDIM's, which draws nothing.
            clip: the image that is aimed at stays in [-1, 1], which makes better samples and hides gradients.
        """
        if not 0 <= s < t <= 1:
            raise InputError(f"a step from time {t} to {s}; it must lead back, within 0 and 1")
        now, then = (float(kept(torch.tensor(at, dtype=torch.float64))) for at in (t, s))
        guess = self.net(x, torch.full((len(x),), t, dtype=x.dtype, device=x.device))
        aim = (x - (1 - now) ** 0.5 * guess) / now**0.5
        if clip:
            aim = aim.clamp(-1, 1)
            guess = (x - now**0.5 * aim) / (1 - now) ** 0.5
        spread = 0.0 if noise is None else (1 - then) / (1 - now) * (1 - now / then)
        made: Tensor = then**0.5 * aim + max(0.0, 1 - then - spread) ** 0.5 * guess
        return made if noise is None else made + spread**0.5 * noise


def kept(t: Tensor) -> Tensor:
    """The share a of the image's variance that is left at time t.

    >>> [round(float(kept(torch.tensor(t))), 3) for t in (0.0, 0.1, 0.5, 1.0)]
    [1.0, 0.896, 0.079, 0.0]
    """
    return (-(0.1 * t + 9.95 * t.square())).exp()


def noised(x: Tensor, t: Tensor, noise: Tensor) -> Tensor:
    """Images [B, 1, H, W] in [-1, 1] at times [B]."""
    a = kept(t)[:, None, None, None]
    return a.sqrt() * x + (1 - a).sqrt() * noise
