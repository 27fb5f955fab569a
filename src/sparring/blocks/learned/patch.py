"""A patch that is pasted onto images: turned, at a place of each image's own, with sharp edges."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparring.blocks.learned.nets import Subject
from sparring.rng import Noise


class Patch(nn.Module):
    """A nearly square patch of free colours, itself the only parameter.

    Args:
        subject: see there. share: of the image that it covers. degrees: it is turned by at most so many, either way.
    """

    def __init__(self, subject: Subject, share: float, degrees: float) -> None:
        super().__init__()
        channels, height, wide = subject.picture
        self.subject, self.degrees = subject, degrees
        self.high = min(float(height), math.sqrt(share * height * wide))
        self.wide = min(float(wide), share * height * wide / self.high)
        low, high = subject.box
        colours = low + (high - low) * torch.rand(channels, math.ceil(self.high), math.ceil(self.wide))
        self.colours = nn.Parameter(colours)

    def forward(self, x: Tensor, noise: Noise) -> Tensor:
        """The images [B, ...] with the patch on them, where their noise says. Differentiable."""
        _, height, wide = self.subject.picture
        where = noise.uniform(3, dtype=torch.float64)
        angle = torch.deg2rad((2 * where[:, 0] - 1) * self.degrees)[:, None, None]
        top = self.high / 2 + where[:, 1] * (height - self.high)
        left = self.wide / 2 + where[:, 2] * (wide - self.wide)
        down = (torch.arange(height, device=x.device) + 0.5 - top[:, None])[:, :, None]
        right = (torch.arange(wide, device=x.device) + 0.5 - left[:, None])[:, None, :]
        across = (angle.cos() * right + angle.sin() * down) / (self.wide / 2)
        along = (angle.cos() * down - angle.sin() * right) / (self.high / 2)
        inside = ((across.abs() <= 1) & (along.abs() <= 1))[:, None]
        grid = torch.stack([across, along], 3).to(self.colours.dtype)
        source = self.colours.expand(len(x), *self.colours.shape)
        shown = F.grid_sample(source, grid, mode="bilinear", padding_mode="border", align_corners=False)
        pictures = x.reshape(len(x), *self.subject.picture)
        return torch.where(inside, shown.to(x.dtype), pictures).reshape(x.shape)
