"""Randomized smoothing: the class that a net names most often under Gaussian noise, and how far that is certain.

Cohen, Rosenfeld & Kolter 2019, arXiv:1902.02918, PREDICT and CERTIFY as published: the class is selected from n0 draws,
its probability bounded below (Clopper-Pearson, one-sided) from n fresh ones; with pA > 1/2 the L2 radius is
sigma * Phi^-1(pA), otherwise it abstains. It holds for each image with probability 1 - alpha, over the draws, and says
something about the majority vote alone, not about the net itself.
Differs from the paper: noise belongs to the image and the seed, not to the batch. L1 and Linf follow from L2, since
|d|_2 <= |d|_1 and |d|_2 <= sqrt(d) |d|_inf.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.certify.binomial import coin_test, lower_bound
from sparring.model import Model
from sparring.norms import Linf, Norm
from sparring.rng import Noise

SELECTION, ESTIMATION, PREDICTION = 0, 1, 2
"tags of independent streams of noise"
ABSTAIN = -1


@dataclass(frozen=True)
class Smoothed:
    """What was certified of B images: label int64 [B], -1 = abstained; radius float64 [B] under L2, 0 = abstained."""

    label: Tensor
    radius: Tensor

    def under(self, norm: Norm, pixels: int) -> Tensor:
        """[B] the radius in another norm."""
        return self.radius / math.sqrt(pixels) if norm is Linf else self.radius


def certified(
    model: Model, x: Tensor, *, sigma: float, n0: int = 100, n: int = 1000, alpha: float = 0.001, seed: int = 0
) -> Smoothed:
    """CERTIFY for images [B, ...] inside the box.

    Args:
        sigma: of the noise, in pixels; it is not clipped. n0, n: draws to select and to estimate. alpha: the chance
            that a certificate is wrong, image by image.
    """
    noise = Noise.of(x, seed)
    label = votes(model, x, sigma, n0, noise.fold(SELECTION)).argmax(1)
    hits = votes(model, x, sigma, n, noise.fold(ESTIMATION)).gather(1, label[:, None]).squeeze(1)
    radius = torch.tensor([radius_of(int(count), n, sigma, alpha) for count in hits], dtype=torch.float64)
    radius = radius.to(x.device)
    return Smoothed(torch.where(radius > 0, label, ABSTAIN), radius)


def predicted(model: Model, x: Tensor, *, sigma: float, n: int = 1000, alpha: float = 0.001, seed: int = 0) -> Tensor:
    """PREDICT: the majority vote int64 [B], -1 where the first two are too close to tell."""
    top = votes(model, x, sigma, n, Noise.of(x, seed).fold(PREDICTION)).topk(2, 1)
    sure = [coin_test(int(first), int(first + second)) <= alpha for first, second in top.values]
    return torch.where(torch.tensor(sure, device=x.device), top.indices[:, 0], ABSTAIN)


def radius_of(hits: int, n: int, sigma: float, alpha: float) -> float:
    """The certified L2 radius after `hits` votes of n; 0 = abstain.

    >>> round(radius_of(99_000, 100_000, 1.0, 0.001), 4), radius_of(500, 1000, 1.0, 0.001)
    (2.29, 0.0)
    """
    least = lower_bound(hits, n, alpha)
    return sigma * float(torch.special.ndtri(torch.tensor(least, dtype=torch.float64))) if least > 0.5 else 0.0


def votes(model: Model, x: Tensor, sigma: float, n: int, noise: Noise) -> Tensor:
    """How often each class is named under n draws of noise: int64 [B, K]."""
    with model.guard(), torch.no_grad():
        total = None
        for _ in range(n):
            logits = model.logits(x + sigma * noise.normal(*x.shape[1:], dtype=x.dtype))
            model.refuse_broken(~logits.isfinite().all(1))
            one = torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1])
            total = one if total is None else total + one
    assert total is not None
    return total
