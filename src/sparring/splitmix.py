"""The 64-bit arithmetic of `splitmix64`, in NumPy on a CPU, in torch on other devices, equal to the bit.

torch has no unsigned integers to shift, and multiplies 64-bit ones three times as slowly as NumPy on a CPU.
Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

GOLDEN = 0x9E3779B97F4A7C15  # 2**64 / golden ratio: the increment of splitmix64
FIRST, SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # the multipliers of its finaliser

Words = np.ndarray[Any, np.dtype[np.uint64]]


def signed(value: int) -> int:
    """The 64-bit pattern of `value` as the signed integer that torch wants."""
    value &= 0xFFFFFFFFFFFFFFFF
    return value - (1 << 64) if value >= 1 << 63 else value


def mix(z: Tensor) -> Tensor:
    """The finaliser: 64 bits in, 64 well-stirred bits out. int64 [...] -> int64 [...]."""
    if z.device.type != "cpu":
        return mix_on_device(z)
    words = z.numpy().astype(np.int64).reshape(-1).view(np.uint64)  # a copy, and no scalar: those warn when they wrap
    return _tensor(_mix(words)).reshape(z.shape)


def mix_on_device(z: Tensor) -> Tensor:
    """`mix` in torch."""
    z = _shift(z, 30).bitwise_xor_(z).mul_(signed(FIRST))
    z = _shift(z, 27).bitwise_xor_(z).mul_(signed(SECOND))
    return _shift(z, 31).bitwise_xor_(z)


def stream(keys: Tensor, drawn: int, count: int) -> Tensor:
    """The next `count` numbers of the stream of each key, of which it has given `drawn`: int64 [B] -> [B, count]."""
    if keys.device.type != "cpu":
        at = torch.arange(drawn + 1, drawn + count + 1, device=keys.device)
        return mix_on_device(keys[:, None] + at * signed(GOLDEN))
    counters: Words = np.arange(drawn + 1, drawn + count + 1, dtype=np.uint64) * np.uint64(GOLDEN)
    return _tensor(_mix(keys.numpy().view(np.uint64)[:, None] + counters))


def top(z: Tensor, bits: int) -> Tensor:
    """The highest `bits` bits of int64 [...], as numbers from 0 on."""
    if z.device.type != "cpu":
        return _shift(z, 64 - bits)
    return _tensor(z.numpy().view(np.uint64) >> np.uint64(64 - bits))


def top_of_halves(z: Tensor, bits: int) -> Tensor:
    """The highest `bits` bits of both halves of int64 [B, n], as numbers from 0 on: int32 [B, 2 n]."""
    if z.device.type != "cpu":
        return (z.view(torch.int32) >> (32 - bits)).bitwise_and_((1 << bits) - 1)
    return torch.from_numpy((z.numpy().view(np.uint32) >> np.uint32(32 - bits)).view(np.int32))


def _mix(words: Words) -> Words:
    """`mix` in place."""
    spare = np.right_shift(words, np.uint64(30))
    for factor, bits in ((FIRST, 27), (SECOND, 31)):
        np.bitwise_xor(words, spare, out=words)
        np.multiply(words, np.uint64(factor), out=words)
        np.right_shift(words, np.uint64(bits), out=spare)
    return np.bitwise_xor(words, spare, out=words)


def _shift(z: Tensor, bits: int) -> Tensor:
    """Logical shift right (torch's own keeps the sign)."""
    return (z >> bits).bitwise_and_((1 << (64 - bits)) - 1)


def _tensor(words: Words) -> Tensor:
    return torch.from_numpy(words.view(np.int64))
