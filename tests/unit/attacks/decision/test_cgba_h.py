"""CGBA-H where the region that fools is a ball: the nearest point of it is known, and its boundary bends."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.testing.fixtures import images


class Inside(nn.Module):
    """Class 1 inside a ball round grey."""

    def __init__(self, radius: float) -> None:
        super().__init__()
        self.radius = nn.Parameter(torch.tensor(radius, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        depth = self.radius**2 - (x - 0.5).flatten(1).square().sum(1)
        return torch.stack([torch.zeros_like(depth), depth], 1)


@pytest.mark.parametrize("spec", ["cgba-h:samples=20,frequencies=1", "cgba:samples=20,frequencies=1"])
def test_it_finds_the_nearest_point_of_a_ball(spec: str) -> None:
    x, radius = images(4), 0.5
    y = torch.zeros(4, dtype=torch.int64)
    goal = sp.Targeted(y + 1, y)
    result = sp.attack(spec)(Inside(radius), x, goal, sp.Threat("L2"), budget=sp.Budget(queries=1500))
    best = (x - 0.5).flatten(1).norm(dim=1) - radius
    assert bool(result.success.all())
    assert bool((result.distance >= best * (1 - 1e-6)).all())
    assert bool((result.distance <= 1.05 * best).all())
