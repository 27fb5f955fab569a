"""Ways down a slope, every row on its own: SGD with momentum, Adam, L-BFGS. Rows that rest leave."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from sparring.blocks.penalty.lbfgs import Lbfgs

LATE = 0.8
"after that share of the steps the learning rate is a tenth"
FAR = 10.0
"L-BFGS stays within so many standard deviations"


class Walk(Protocol):
    """Look at `z` [b, latent], tell what is there, look at the next `z`.

    Attributes:
        restless: up to that share of the steps, a row that gains no more may yet do so.
    """

    z: Tensor
    restless: float

    def step(self, value: Tensor, slope: Tensor, progress: float) -> None:
        """`value` [b] and `slope` [b, latent] at `z`; `progress` is the share of the steps that are done."""
        ...

    def keep(self, rows: Tensor) -> None:
        """Only the rows of the mask [b] go on."""
        ...


class MomentumWalk:
    """SGD with momentum 0.7; the learning rate falls to a tenth for the last fifth, where swings come to rest."""

    restless = LATE

    def __init__(self, z: Tensor, lr: float, momentum: float = 0.7) -> None:
        self.z, self.lr, self.momentum, self.speed = z, lr, momentum, torch.zeros_like(z)

    def step(self, value: Tensor, slope: Tensor, progress: float) -> None:
        """See `Walk`."""
        self.speed = self.momentum * self.speed + slope
        self.z = self.z - (self.lr if progress < LATE else self.lr / 10) * self.speed

    def keep(self, rows: Tensor) -> None:
        """See `Walk`."""
        self.z, self.speed = self.z[rows], self.speed[rows]


class AdamWalk:
    """Adam (arXiv:1412.6980); the learning rate falls to a tenth for the last fifth."""

    restless = LATE

    def __init__(self, z: Tensor, lr: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        self.z, self.lr, self.betas, self.count = z, lr, betas, 0
        self.mean, self.square = torch.zeros_like(z), torch.zeros_like(z)

    def step(self, value: Tensor, slope: Tensor, progress: float) -> None:
        """See `Walk`."""
        (a, b), self.count = self.betas, self.count + 1
        self.mean = a * self.mean + (1 - a) * slope
        self.square = b * self.square + (1 - b) * slope.square()
        mean, square = self.mean / (1 - a**self.count), self.square / (1 - b**self.count)
        self.z = self.z - (self.lr if progress < LATE else self.lr / 10) * mean / (square.sqrt() + 1e-8)

    def keep(self, rows: Tensor) -> None:
        """See `Walk`."""
        self.z, self.mean, self.square = self.z[rows], self.mean[rows], self.square[rows]


class LbfgsWalk:
    """L-BFGS; one evaluation a step, whether it was accepted or not."""

    restless = 0.0

    def __init__(self, z: Tensor) -> None:
        self.z = z
        self.low, self.high = torch.full_like(z, -FAR), torch.full_like(z, FAR)
        self.state: Lbfgs | None = None

    def step(self, value: Tensor, slope: Tensor, progress: float) -> None:
        """See `Walk`."""
        if self.state is None:
            self.state = Lbfgs.start(self.z, value, slope, self.low, self.high)
        else:
            self.state = self.state.update(self.z, value, slope, self.low, self.high)
        self.z = self.state.trial(self.low, self.high)

    def keep(self, rows: Tensor) -> None:
        """See `Walk`."""
        self.z, self.low, self.high = self.z[rows], self.low[rows], self.high[rows]
        if self.state is not None:
            self.state = Lbfgs(*(part[rows] for part in self.state))
