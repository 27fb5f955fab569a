"""The tricks behind broken defenses, as layers: each hides the gradient from an attack, none moves a border by much."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GradientKiller(nn.Module):
    """The identity, whose backward pass gives zeros."""

    def forward(self, x: Tensor) -> Tensor:
        killed: Tensor = _Killed.apply(x)  # type: ignore[no-untyped-call]
        return killed


class _Killed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        return torch.zeros_like(slope)


class Rounded(nn.Module):
    """Pixels in [0, 1] at the nearest of `levels` values: flat nearly everywhere."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.steps = levels - 1

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.steps).round() / self.steps


class Times(nn.Module):
    """Logits times a factor: the same classes, and a softmax that knows no doubt."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, logits: Tensor) -> Tensor:
        return logits * self.factor


class BlockCosine(nn.Module):
    """What JPEG does to brightness: cosine transform of 8 x 8 blocks, coefficients rounded to multiples, and back.

    The table of step sizes is the standard's (ITU-T T.81, annex K), scaled as its reference code scales it.
    """

    steps: Tensor
    basis: Tensor

    def __init__(self, quality: int) -> None:
        super().__init__()
        scale = 5000 / quality if quality < 50 else 200 - 2 * quality
        self.register_buffer("steps", ((LUMINANCE * scale + 50) / 100).floor().clamp(1, 255) / 255)
        n = torch.arange(8.0)
        basis = (math.pi * (2 * n[None] + 1) * n[:, None] / 16).cos() * 0.5
        basis[0] /= math.sqrt(2)
        self.register_buffer("basis", basis)

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        padded = F.pad(x, (0, -width % 8, 0, -height % 8), mode="replicate")
        blocks = padded.unfold(-2, 8, 8).unfold(-2, 8, 8) - 0.5  # [B, C, h, w, 8, 8]
        basis, steps = self.basis, self.steps
        rounded = ((basis @ blocks @ basis.T) / steps).round() * steps
        pixels = (basis.T @ rounded @ basis + 0.5).transpose(-3, -2)
        return pixels.reshape(padded.shape)[..., :height, :width].clamp(0, 1)


LUMINANCE = torch.tensor(
    [
        [16.0, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


class ResizePad(nn.Module):
    """Each picture shrunk at random, to no less than a share, and put anywhere on black (Xie et al., arXiv:1711.01991).

    Noise comes from torch's own generator, as in most code that people write.
    """

    def __init__(self, smallest: float) -> None:
        super().__init__()
        self.smallest = smallest

    def forward(self, x: Tensor) -> Tensor:
        share = self.smallest + (1 - self.smallest) * torch.rand(len(x))
        place = (1 - share)[:, None] * (2 * torch.rand(len(x), 2) - 1)
        scale = 1 / share
        zero = torch.zeros_like(share)
        rows = torch.stack([scale, zero, -place[:, 0] * scale, zero, scale, -place[:, 1] * scale], 1).reshape(-1, 2, 3)
        grid = F.affine_grid(rows.to(x), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)


class Same(nn.Module):
    """A classifier that says one class whatever it is shown."""

    answer: Tensor

    def __init__(self, label: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("answer", 8.0 * F.one_hot(torch.tensor(label), classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.answer.expand(len(x), -1)
