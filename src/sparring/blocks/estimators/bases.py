"""Orthonormal bases of image space, one vector at a time: pixels, and the cosines of the DCT, low frequencies first."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from functools import lru_cache
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.rng import Noise

BasisName = Literal["pixel", "dct"]
FIRST = 4
"of 32: the share of each side's frequencies that comes first, in any order (SimBA: 28 of 224)"


class Basis(ABC):
    """Vectors of L2 size 1, orthogonal, as many as an image has values. Inputs [b, d] are lines of d pixels."""

    @abstractmethod
    def order(self, noise: Noise, like: Tensor) -> Tensor:
        """In which order each row should try them: int64 [b, d] for images `like` [b, ...]."""

    @abstractmethod
    def vectors(self, at: Tensor, like: Tensor) -> Tensor:
        """The vectors number `at` [b], shaped as `like` [b, ...]."""


class Pixels(Basis):
    """One value of the image at a time, in random order."""

    def order(self, noise: Noise, like: Tensor) -> Tensor:
        return noise.uniform(like[0].numel()).argsort(dim=1, stable=True)

    def vectors(self, at: Tensor, like: Tensor) -> Tensor:
        return F.one_hot(at, like[0].numel()).to(like.dtype).reshape(like.shape)


class Cosines(Basis):
    """The two-dimensional DCT-II of one channel at a time.

    The lowest eighth of the frequencies of each side comes first, then a ring of 1/32 after the other, in random
    order inside each (Guo et al. 2019, arXiv:1905.07121, whose code takes 28 and then 7 of 224).
    """

    def order(self, noise: Noise, like: Tensor) -> Tensor:
        channels, height, width = image_shape(like)
        down, across = ((torch.arange(n, device=like.device) + 1) / n * 32 for n in (height, width))
        ring = torch.maximum(down[:, None], across).ceil().clamp(min=FIRST).expand(channels, -1, -1).flatten()
        return (ring + noise.uniform(len(ring)) * 0.999).argsort(dim=1, stable=True)

    def vectors(self, at: Tensor, like: Tensor) -> Tensor:
        channels, height, width = image_shape(like)
        channel, down, across = at // (height * width), at // width % height, at % width
        waves = cosines(height, like)[down][:, :, None] * cosines(width, like)[across][:, None, :]
        return (F.one_hot(channel, channels).to(like.dtype)[:, :, None, None] * waves[:, None]).reshape(like.shape)


BASES: dict[BasisName, Basis] = {"pixel": Pixels(), "dct": Cosines()}


def image_shape(like: Tensor) -> tuple[int, int, int]:
    """(channels, height, width) of images [b, ...]: the last two sides, and all before them; a line has height 1."""
    shape = tuple(like.shape[1:])
    height, width = shape[-2:] if len(shape) > 1 else (1, shape[0])
    return like[0].numel() // (height * width), height, width


def cosines(size: int, like: Tensor) -> Tensor:
    """The DCT-II matrix [size, size], orthonormal, lowest frequency first, of the dtype and device of `like`."""
    return _cosines(size).to(like)


@lru_cache(maxsize=16)
def _cosines(size: int) -> Tensor:
    k, i = torch.arange(size, dtype=torch.float64)[:, None], torch.arange(size, dtype=torch.float64)
    matrix = (math.pi * k * (2 * i + 1) / (2 * size)).cos() * math.sqrt(2 / size)
    matrix[0] /= math.sqrt(2)
    return matrix
