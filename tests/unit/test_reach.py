"""Hyperplane projections and proximal steps against closed forms found by other means."""

from __future__ import annotations

import pytest
import torch

from sparring.norms import L0, L1, L2, NORMS, Linf, Norm
from sparring.testing.optimum import halfspace_distance


def problem(seed: int, signs: bool = True) -> tuple[torch.Tensor, ...]:
    source = torch.Generator().manual_seed(seed)
    x = torch.rand(40, 30, generator=source, dtype=torch.float64)
    x[:, :5] = 0.0  # pixels at a bound
    g = torch.randn(40, 30, generator=source, dtype=torch.float64)
    g[:, 7] = 0.0
    most = (g.abs() * torch.where(g > 0, 1 - x, x)).sum(1)
    gap = most * torch.rand(40, generator=source, dtype=torch.float64) * 0.9
    if signs:
        g[::2], gap[::2] = -g[::2], -gap[::2]
    return g, gap, -x, 1 - x


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_reach_hits_the_hyperplane_at_the_known_distance(norm: Norm) -> None:
    g, gap, low, high = problem(1)
    d = norm.to_hyperplane(g, gap, low, high)
    sign = torch.where(gap < 0, -1.0, 1.0).double()
    best = halfspace_distance(str(norm), g * sign[:, None], gap.abs(), low, high)
    assert torch.all(d >= low - 1e-12)
    assert torch.all(d <= high + 1e-12)
    gained = (g * d).sum(1)
    if norm == L0:  # whole pixels overshoot
        assert torch.all(gained * sign >= gap.abs() * (1 - 1e-9))
    else:
        assert torch.allclose(gained, gap, atol=1e-9)
    assert torch.allclose(norm.size(d), best, rtol=1e-6)


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_reach_ends_in_the_best_corner_where_the_box_forbids_it(norm: Norm) -> None:
    g, _, low, high = problem(2, signs=False)
    d = norm.to_hyperplane(g, torch.full((40,), 1e6, dtype=torch.float64), low, high)
    corner = torch.where(g > 0, high, torch.where(g < 0, low, 0))
    assert torch.allclose(d, corner)
    assert torch.equal(norm.to_hyperplane(0 * g, torch.ones(40).double(), low, high), 0 * g)
    assert torch.equal(norm.to_hyperplane(g, torch.zeros(40).double(), low, high), 0 * g)


@pytest.mark.parametrize(("norm", "power"), [(L1, 1.0), (L0, 2 / 3)], ids=str)
def test_the_separable_prox_is_the_minimum_on_a_fine_grid(norm: Norm, power: float) -> None:
    d = torch.linspace(-2, 2, 81, dtype=torch.float64)[:, None]
    grid = torch.linspace(-2.5, 2.5, 50_001, dtype=torch.float64)
    for weight in (0.05, 0.3, 1.0):
        u = norm.prox(d, torch.full((81,), weight, dtype=torch.float64))
        cost = (grid - d).square() / 2 + weight * grid.abs() ** power
        mine = (u - d).square() / 2 + weight * u.abs() ** power
        assert torch.all(mine.squeeze(1) <= cost.amin(1) + 1e-6)


@pytest.mark.parametrize("norm", [L2, Linf], ids=str)
def test_the_prox_of_the_other_norms_is_a_stationary_point(norm: Norm) -> None:
    d = torch.randn(30, 12, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weight = torch.linspace(0.01, 3, 30, dtype=torch.float64)
    u = norm.prox(d, weight)
    value = (u - d).square().sum(1) / 2 + weight * norm.size(u)
    for seed in range(20):
        push = torch.randn(30, 12, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for far in (1e-3, 1e-1):
            other = u + far * push
            assert torch.all(value <= (other - d).square().sum(1) / 2 + weight * norm.size(other) + 1e-12)
    assert torch.allclose(norm.prox(d, 0 * weight), d)
