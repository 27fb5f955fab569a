"""Noise that belongs to a sample, not to a batch: counter-based, vectorised, the same on every device.

A result must not depend on who else is in the batch, on the order, the shard or the machine. So every
random number here is a pure function of (seed, what the sample is, how many numbers were drawn before):
`splitmix64`. A sample is known by a hash of its pixels, hence a shuffled or split batch draws the same numbers. The
global RNG is never touched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor

from sparring.splitmix import GOLDEN, mix, signed, stream, top, top_of_halves

AHEAD = 256
"numbers of a sample that are worked out at once where an attack asks for a few at a time, again and again"

BLOCK = 2**15
"numbers that are worked out at once where many are asked for: more would not stay in the cache"


def digest(x: Tensor) -> Tensor:
    """One 64-bit name a sample, from its pixels: [B, ...] -> int64 [B] on the CPU.

    Pixels are read as float32, so that a float64 run draws the same noise.
    """
    rows = x.detach().to("cpu", torch.float32).contiguous().flatten(1).numpy()
    names = [int.from_bytes(hashlib.blake2b(row.tobytes(), digest_size=8).digest(), "little") for row in rows]
    return torch.tensor([signed(name) for name in names], dtype=torch.int64)


def quick_digest(x: Tensor) -> Tensor:
    """As `digest`, in a tenth of the time and on the device: a multilinear hash, good for telling images apart."""
    words = x.detach().to(torch.float32).contiguous().flatten(1).view(torch.int32)
    return mix((words * _odd(words.shape[1], x.device)).sum(1))


@lru_cache(maxsize=8)
def _odd(count: int, device: torch.device) -> Tensor:
    """`count` fixed odd numbers: int64."""
    return mix(torch.arange(1, count + 1, device=device) * signed(GOLDEN)) | 1


class Noise:
    """Streams of random numbers, one a sample.

    Args:
        keys: int64 [B], one key a sample (see `Noise.of`).
        drawn: how many numbers each stream has given already; the same for all rows, since rows draw in step.
    """

    def __init__(self, keys: Tensor, drawn: int = 0) -> None:
        self.keys = keys
        self.drawn = drawn
        self._ahead = keys.new_empty(len(keys), 0)  # the next of the stream, already worked out
        self._reach = 0

    @classmethod
    def of(cls, x: Tensor, seed: int) -> Noise:
        """The streams of the samples `x` [B, ...] under `seed`."""
        return cls(mix(digest(x) ^ mix(torch.tensor(signed(seed * GOLDEN + 1)))).to(x.device))

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, rows: Tensor) -> Noise:
        """The streams of some rows, at the place where they are."""
        return Noise(self.keys[rows], self.drawn)

    def fold(self, *tags: int | Tensor) -> Noise:
        """Fresh independent streams for a part of the run (a restart, a target), the same however long others took.

        A tag is one number for all samples, or int64 [B].
        """
        keys = self.keys
        for tag in tags:
            step = (tag + 1) * signed(GOLDEN) if isinstance(tag, Tensor) else signed((tag + 1) * GOLDEN)
            keys = mix(keys ^ step)
        return Noise(keys)

    def bits(self, count: int) -> Tensor:
        """`count` raw 64-bit integers for each sample: int64 [B, count]."""
        if self._ahead.shape[1] < count:
            # Twice as far as the last time: one that asks once pays for one, one that asks for ever hardly pays.
            self._reach = max(count, min(2 * self._reach + count, AHEAD))
            self._ahead = stream(self.keys, self.drawn, self._reach)
        self.drawn += count
        now, self._ahead = self._ahead[:, :count], self._ahead[:, count:]
        return now

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[B, *shape] uniform in [0, 1). The same 24-bit numbers whatever the dtype."""
        count = math.prod(shape)
        draw = self._in_blocks(count, lambda part: top(part.bits(count), 24).to(dtype).mul_(2.0**-24))
        return draw.reshape(len(self), *shape)

    def normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[B, *shape] standard normal (Box-Muller)."""
        count = math.prod(shape)
        half = (count + 1) // 2

        def draw(part: Noise) -> Tensor:
            radius = (-2 * (1 - part.uniform(half, dtype=torch.float64)).log()).sqrt()
            angle = 2 * math.pi * part.uniform(half, dtype=torch.float64)
            return torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count].to(dtype)

        return self._in_blocks(count, draw).reshape(len(self), *shape)

    def uniform_pair(self, *shape: int) -> tuple[Tensor, Tensor]:
        """Two independent [B, *shape] as of `uniform`, in half the time: both numbers are of the same 64 bits."""
        count = math.prod(shape)
        both = self._in_blocks(count, lambda part: part._halves(count))
        return both[:, :count].reshape(len(self), *shape), both[:, count:].reshape(len(self), *shape)

    def quick_normal(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """As `normal`, in half the time: two numbers from every 64 bits, and no float64 on the way. Other numbers.

        For searches that draw a direction for every query.
        """
        count = math.prod(shape)
        half = (count + 1) // 2

        def draw(part: Noise) -> Tensor:
            uniform = part._halves(half)
            radius = (1 - uniform[:, :half]).log_().mul_(-2).sqrt_()
            angle = uniform[:, half:].mul_(2 * math.pi)
            normal = torch.empty_like(uniform)
            torch.mul(radius, angle.cos(), out=normal[:, :half])
            torch.mul(radius, angle.sin_(), out=normal[:, half:])
            return normal[:, :count]

        return self._in_blocks(count, draw).to(dtype).reshape(len(self), *shape)

    def _halves(self, count: int) -> Tensor:
        """[B, 2 * count] uniform in [0, 1), float32: two numbers of 24 bits from each of `count` integers."""
        return top_of_halves(self.bits(count), 24).to(torch.float32).mul_(2.0**-24)

    def _in_blocks(self, count: int, draw: Callable[[Noise], Tensor]) -> Tensor:
        """`draw` of all rows, [B, ...], a few rows at a time where each draws so many: it changes no number."""
        rows = max(1, BLOCK // max(1, count))
        if len(self) <= rows or count < AHEAD:
            return draw(self)
        parts = [type(self)(self.keys[start : start + rows], self.drawn) for start in range(0, len(self), rows)]
        drawn = torch.cat([draw(part) for part in parts])
        self.drawn = parts[0].drawn
        self._ahead = self.keys.new_empty(len(self), 0)
        return drawn

    def signs(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[B, *shape] of -1 and +1, each with probability one half."""
        return torch.where(self.uniform(*shape) < 0.5, -1.0, 1.0).to(dtype)

    def below(self, high: int | Tensor, *shape: int) -> Tensor:
        """[B, *shape] whole numbers in [0, high), `high` a number or a tensor [B, ...] that broadcasts."""
        return (self.uniform(*shape, dtype=torch.float64) * high).to(torch.int64)


class TrainingNoise(Noise):
    """The same for training, where every step draws: half the work, other numbers."""

    @classmethod
    def of(cls, x: Tensor, seed: int) -> TrainingNoise:
        """The streams of the samples `x` [B, ...] under `seed`."""
        return cls(mix(quick_digest(x) ^ mix(torch.tensor(signed(seed * GOLDEN + 1))).to(x.device)))

    def __getitem__(self, rows: Tensor) -> TrainingNoise:
        return TrainingNoise(self.keys[rows], self.drawn)

    def fold(self, *tags: int | Tensor) -> TrainingNoise:
        """See `Noise.fold`."""
        return TrainingNoise(super().fold(*tags).keys)

    def uniform(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """[B, *shape] uniform in [0, 1): two numbers of 24 bits from every 64."""
        count = math.prod(shape)
        halves = top_of_halves(self.bits((count + 1) // 2), 24)[:, :count]
        return halves.to(dtype).mul_(2.0**-24).reshape(len(self), *shape)
