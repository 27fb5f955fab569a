"""Small random nets, each with what a bound must know: convolutions, poolings, batch norm, a residual sum."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sparring.zoo.resnet import Block


class Residual(nn.Module):
    """Two convolutions and a way past them; sums, methods and functions instead of layers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 3, 3, padding=1)
        self.second = nn.Conv2d(3, 3, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(3)
        self.last = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = torch.relu(self.first(x))
        z = (self.norm(self.second(z)) + z).relu()
        z = nn.functional.adaptive_avg_pool2d(z, 1)
        return self.last(z.view(z.size(0), -1))


class Functional(nn.Module):
    """Functions for all that has no weights; overlapping windows, padded after a ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 3, padding=1, bias=False)
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        z = nn.functional.max_pool2d(nn.functional.relu(self.first(x)), 3, stride=2, padding=1)
        z = nn.functional.dropout(nn.functional.avg_pool2d(z, 2, 1), training=self.training)
        return self.last(torch.flatten(z, 1))


def dense() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 4))


def strided() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(),
        nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 4),
    )  # fmt: skip


def pooled() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(3, 4, 2), nn.AvgPool2d(2), nn.Flatten(),
        nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 4),
    )  # fmt: skip


def shrinking() -> nn.Module:
    """A block of ResNet-20 that halves the picture: batch norm, and a way past that is padded with zeros."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1, bias=False), nn.BatchNorm2d(2), nn.ReLU(), Block(2, 4, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4),
    )  # fmt: skip


NETS = {
    "dense": dense,
    "strided": strided,
    "pooled": pooled,
    "residual": Residual,
    "functional": Functional,
    "shrinking": shrinking,
}


def make(name: str, seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Module:
    """A net with weights, and running statistics, drawn from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = NETS[name]().eval()
        for module in net.modules():
            if isinstance(module, nn.Linear | nn.Conv2d):
                module.weight.data.mul_(2)  # so that not all of a narrow layer is dead
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)
                nn.init.normal_(module.weight)
        return net.requires_grad_(False).to(dtype)


def images(count: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """[count, 1, 6, 6] in [0, 1], some pixels exactly at the ends."""
    drawn = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (drawn * 1.4 - 0.2).clamp(0, 1).to(dtype)
