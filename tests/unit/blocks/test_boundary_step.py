"""The step along a boundary against a convex solver, its own conditions, and planes that cannot be reached."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

import sparring.blocks.boundary_step as boundary_step_module
from sparring.blocks.boundary_step import EXACT, NEARLY, boundary_step
from sparring.norms import L0, L1, L2, NORMS, Linf, Norm

CONVEX = (L1, L2, Linf)
few = settings(max_examples=40, deadline=None, derandomize=True)


def case(seed: int, rows: int = 4, n: int = 6, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Perturbations inside the box, some pixels at its bounds, slopes with zeros, planes near and out of reach."""
    source = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=source, dtype=torch.float64)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=source, dtype=torch.float64)

    x = (draw(rows, n) * 2 - 0.5).clamp(0, 1)
    b = normal(rows, n) * (draw(rows, n) > 0.2)
    made = {
        "d": (x + normal(rows, n)).clamp(0, 1) - x,
        "b": b,
        "gap": 0.1 * normal(rows) * b.norm(dim=1),
        "r": 0.02 + 0.5 * draw(rows),
        "low": -x,
        "high": 1 - x,
    }
    return {name: value.to(dtype) for name, value in made.items()}


def off(c: dict[str, Tensor], u: Tensor) -> Tensor:
    """[B] how far the points are from the plane."""
    return ((c["b"] * (u - c["d"])).sum(1) - c["gap"]).abs() / c["b"].norm(dim=1)


def solved(under: Norm, c: dict[str, Tensor], row: int, r: float) -> Any:
    """The same step of one row by a general solver, in (u, t): sum |u_i| <= sum t_i, or |u_i| <= t, made smooth."""
    d, b, low, high = (c[name][row].numpy() for name in ("d", "b", "low", "high"))
    gap, n = float(c["gap"][row]), len(d)
    more = {L1: n, L2: 0, Linf: 1}[under]
    spread = np.eye(n) if under == L1 else np.ones((n, more))
    constraints: list[dict[str, Any]] = [
        {"type": "eq", "fun": lambda v: b @ (v[:n] - d) - gap},
        {"type": "ineq", "fun": lambda v: r**2 - ((v[:n] - d) ** 2).sum()},
    ]
    if more:
        constraints += [
            {"type": "ineq", "fun": lambda v: spread @ v[n:] - v[:n]},
            {"type": "ineq", "fun": lambda v: spread @ v[n:] + v[:n]},
        ]
    sizes = np.abs(d) if under == L1 else np.full(more, np.abs(d).max())
    return minimize(
        (lambda v: v[n:].sum()) if more else (lambda v: v @ v),
        np.concatenate([d, sizes]),
        bounds=[*zip(low, high, strict=True), *[(0, None)] * more],
        constraints=constraints,
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 500},
    )


@few
@given(seed=st.integers(0, 10**6), under=st.sampled_from(CONVEX))
def test_it_is_as_small_as_a_convex_solver_finds(seed: int, under: Norm) -> None:
    c = case(seed, rows=2)
    u = boundary_step(under, **c)
    taken = (u - c["d"]).norm(dim=1)
    for row in range(2):
        theirs = solved(under, c, row, max(float(taken[row]), float(c["r"][row])))
        if theirs.success and off(c, u)[row] < 1e-4:  # of what cannot be reached, other tests tell
            n = u.shape[1]
            best = float(under.size(torch.from_numpy(theirs.x[None, :n]))[0])
            slack = 2 * NEARLY * float(c["r"][row]) * n**0.5  # the radius is met nearly
            assert float(under.size(u)[row]) <= best + slack


@few
@given(seed=st.integers(0, 10**6), under=st.sampled_from(NORMS))
def test_it_stays_in_the_box_and_in_the_trust_region(seed: int, under: Norm) -> None:
    c = case(seed, rows=8, n=9)
    u = boundary_step(under, **c)
    assert bool((u >= c["low"] - 1e-12).all())
    assert bool((u <= c["high"] + 1e-12).all())
    assert bool(((u - c["d"]).norm(dim=1) <= c["r"] * (1 + NEARLY) + 1e-12).all())


@few
@given(seed=st.integers(0, 10**6), under=st.sampled_from(NORMS))
def test_it_meets_the_plane_where_any_point_of_the_region_does(seed: int, under: Norm) -> None:
    c = case(seed, rows=8, n=9)
    u = boundary_step(under, **c)
    towards = L2.linear_maximizer(c["b"] * c["gap"].sign()[:, None], c["r"], c["low"] - c["d"], c["high"] - c["d"])
    most = (c["b"] * towards).sum(1).abs()
    inside = most > c["gap"].abs() * (1 + 1e-6)
    if under == L0:  # it takes whole pixels, so it may go beyond the plane, but never falls short
        short = c["gap"] - (c["b"] * (u - c["d"])).sum(1)
        toward = (c["b"] * c["d"]).sum(1) + c["gap"]
        assert bool((short * toward.sign() <= EXACT * 10)[inside].all())
    else:
        assert bool((off(c, u) <= EXACT * c["r"] * 1.01)[inside].all())
    assert torch.allclose((c["b"] * (u - c["d"])).sum(1).abs()[~inside], most[~inside], rtol=1e-5)


def test_without_a_box_the_first_l2_step_is_the_foot_of_the_perpendicular() -> None:
    b = torch.tensor([[3.0, 4.0]], dtype=torch.float64)
    d = torch.tensor([[2.0, 1.0]], dtype=torch.float64)
    wide = torch.full_like(d, 100.0)
    u = boundary_step(L2, d, b, torch.tensor([-5.0]).double(), torch.tensor([10.0]).double(), -wide, wide)
    assert torch.allclose(u, b / 5)  # <b, u> = 5, and u along b


@pytest.mark.parametrize("under", NORMS)
def test_a_flat_margin_or_no_radius_moves_nothing(under: Norm) -> None:
    c = case(3)
    assert torch.equal(boundary_step(under, **{**c, "b": torch.zeros_like(c["b"])}), c["d"])
    assert torch.allclose(boundary_step(under, **{**c, "r": torch.zeros_like(c["r"])}), c["d"], atol=1e-12)


@pytest.mark.parametrize("under", NORMS)
def test_rows_do_not_influence_each_other(under: Norm) -> None:
    c = case(5, rows=12, n=30)
    whole = boundary_step(under, **c)
    for i in range(12):
        alone = boundary_step(under, **{name: value[i : i + 1] for name, value in c.items()})
        assert torch.allclose(whole[i : i + 1], alone, atol=1e-12)


@pytest.mark.parametrize("under", NORMS)
def test_single_precision_agrees_with_double(under: Norm) -> None:
    c = case(7, rows=20, n=200)
    single = boundary_step(under, **{name: value.float() for name, value in c.items()})
    double = boundary_step(under, **c)
    assert single.dtype == torch.float32
    assert torch.allclose(under.size(single).double(), under.size(double), rtol=0.03)


@pytest.mark.parametrize("under", [L1, L0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_slopes_that_are_alike_end_the_search(under: Norm, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then many points of the plane are smallest, and no press leads to the one at a corner: the press had grown until
    rounding took the point off the plane, in up to 1,600 looks at each."""
    looks = []
    original = boundary_step_module._Sparse.points
    monkeypatch.setattr(
        boundary_step_module._Sparse, "points", lambda self, shift: looks.append(1) or original(self, shift)
    )
    d = torch.tensor([[-0.10078126, 0.10078123], [-0.0847, 0.0846]], dtype=dtype)
    b = torch.tensor([[-1.0, 1.0]], dtype=dtype).expand(2, 2)
    low, high = torch.tensor([[-0.6, -0.4]], dtype=dtype), torch.tensor([[0.4, 0.6]], dtype=dtype)
    gap, r = torch.tensor([-0.0015, 0.031], dtype=dtype), torch.tensor([0.0713, 0.0502], dtype=dtype)
    u = boundary_step(under, d, b, gap, r, low.expand(2, 2), high.expand(2, 2))
    assert bool((((b * (u - d)).sum(1) - gap).abs() <= 1e-4).all())
    assert bool(((u - d).norm(dim=1) <= r * (1 + NEARLY)).all())
    assert len(looks) <= 400
