"""A small U-net for grey pictures of 28 x 28: what a diffusion model predicts noise with. 255,425 parameters.

Only two thin layers work at full size; the others see 14 x 14 and 7 x 7, where width costs little time.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention, silu

GROUPS = 8


class Block(nn.Module):
    """Two convolutions with a shortcut; between them the time shifts the channels."""

    def __init__(self, a: int, b: int, time: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(GROUPS, a), nn.SiLU(), nn.Conv2d(a, b, 3, padding=1))
        self.shift = nn.Linear(time, b)
        self.second = nn.Sequential(nn.GroupNorm(GROUPS, b), nn.SiLU(), nn.Conv2d(b, b, 3, padding=1))
        self.short = nn.Conv2d(a, b, 1) if a != b else nn.Identity()

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """[B, a, H, W] and [B, time] -> [B, b, H, W]."""
        h = self.first(x) + self.shift(time)[:, :, None, None]
        made: Tensor = self.short(x) + self.second(h)
        return made


class Attention(nn.Module):
    """One head over all places: strokes at one end of a digit know of the other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.split = nn.GroupNorm(GROUPS, width), nn.Conv2d(width, 3 * width, 1)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width, H, W] -> as many."""
        q, k, v = self.split(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        seen = scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
        made: Tensor = x + self.join(seen)
        return made


class UNet(nn.Module):
    """Noisy pixels [B, 1, 28, 28] and times [B] in [0, 1] -> the noise in them, [B, 1, 28, 28]."""

    def __init__(self, thin: int = 8, half: int = 32, quarter: int = 64, time: int = 64) -> None:
        super().__init__()
        self.time = nn.Sequential(nn.Linear(32, time), nn.SiLU(), nn.Linear(time, time), nn.SiLU())
        self.enter = nn.Conv2d(1, thin, 3, padding=1)
        self.to_half = nn.Conv2d(thin, half, 4, 2, padding=1)
        self.down = Block(half, half, time)
        self.to_quarter = nn.Conv2d(half, quarter, 2, 2)
        self.deep = nn.ModuleList([Block(quarter, quarter, time), Block(quarter, quarter, time)])
        self.attention = Attention(quarter)
        self.from_quarter = nn.Sequential(nn.Conv2d(quarter, 4 * half, 1), nn.PixelShuffle(2))
        self.up = Block(2 * half, half, time)
        self.from_half = nn.Sequential(nn.Conv2d(half, 4 * thin, 1), nn.PixelShuffle(2))
        self.leave = nn.Sequential(nn.Conv2d(2 * thin, thin, 3, padding=1), nn.SiLU(), nn.Conv2d(thin, 1, 3, padding=1))
        nn.init.zeros_(self.leave[-1].weight)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a third less time

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """See above."""
        time = self.time(waves(t).to(x))
        whole = silu(self.enter(x))
        half = self.down(self.to_half(whole), time)
        deep = self.deep[0](self.to_quarter(half), time)
        deep = self.deep[1](self.attention(deep), time)
        half = self.up(torch.cat([half, self.from_quarter(deep)], 1), time)
        made: Tensor = self.leave(torch.cat([whole, self.from_half(half)], 1))
        return made


def waves(t: Tensor, count: int = 16) -> Tensor:
    """Times [B] as sines and cosines [B, 2 * count] of ever faster waves."""
    angle = t[:, None] * 2 * math.pi * torch.logspace(-1, 1, count, device=t.device, dtype=t.dtype)
    return torch.cat([angle.sin(), angle.cos()], 1)
