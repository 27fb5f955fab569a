"""Norms and balls against definitions, a linear program and a convex solver; `sparring.testing.optimum` likewise."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.radius import boundary
from sparring.errors import InputError
from sparring.kernels import LARGE, l1_cut, peak_cut
from sparring.norms import L0, L1, L2, NORMS, Linf, Norm, norm
from sparring.rng import Noise
from sparring.testing.optimum import halfspace_distance

CONVEX = (L1, L2, Linf)
fast = settings(max_examples=60, deadline=None, derandomize=True)


def case(seed: int, rows: int = 4, n: int = 5, dtype: torch.dtype = torch.float64) -> dict[str, Any]:
    """Random images with pixels at their bounds, points far outside, gradients with zeros and ties, radii."""
    source = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=source, dtype=torch.float64)

    x = (draw(rows, n) * 2 - 0.5).clamp(0, 1)
    g = torch.randn(rows, n, generator=source, dtype=torch.float64)
    g = torch.where(draw(rows, n) < 0.2, 0.0, torch.where(draw(rows, n) < 0.2, 1.0, g))
    d = torch.randn(rows, n, generator=source, dtype=torch.float64) * 3 ** torch.randn(1, generator=source).item()
    eps = draw(rows) * 2.5
    values = {"x": x, "g": g, "d": d, "eps": eps, "low": -x, "high": 1 - x}
    return {name: value.to(dtype) for name, value in values.items()}


def inside(under: Norm, d: Tensor, eps: Tensor, low: Tensor, high: Tensor, tolerance: float = 1e-9) -> bool:
    return bool(
        (under.size(d) <= eps * (1 + tolerance) + tolerance).all()
        and (d >= low - tolerance).all()
        and (d <= high + tolerance).all()
    )


# --- size and names -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("under", "expected"), [(L0, 2.0), (L1, 7.0), (L2, 5.0), (Linf, 4.0)])
def test_size(under: Norm, expected: float) -> None:
    d = torch.tensor([[[3.0, 0.0], [-4.0, 0.0]]])
    assert under.size(d).tolist() == [expected]
    assert under.size(d[:0]).shape == (0,)


@pytest.mark.parametrize("under", CONVEX)
def test_dual_size_is_what_a_unit_step_gains_most(under: Norm) -> None:
    g = case(3)["g"]
    free = torch.full_like(g, 100.0)
    step = under.linear_maximizer(g, torch.ones(len(g), dtype=g.dtype), -free, free)
    assert torch.allclose((g * step).sum(1), under.dual_size(g))


@pytest.mark.parametrize(
    ("written", "meant"),
    [("Linf", Linf), ("linf", Linf), ("inf", Linf), (float("inf"), Linf), ("L2", L2), (2, L2), (2.0, L2), ("l_1", L1),
     (0, L0), (L0, L0)],
)  # fmt: skip
def test_norms_are_found_however_they_are_written(written: Any, meant: Norm) -> None:
    assert norm(written) == meant
    assert repr(meant) == meant.name


@pytest.mark.parametrize("written", ["L3", "", "two", 3, -1])
def test_unknown_norms_are_refused(written: Any) -> None:
    with pytest.raises(InputError, match="L0, L1, L2 and Linf"):
        norm(written)


# --- projection -----------------------------------------------------------------------------------------------


@fast
@given(seed=st.integers(0, 10**6), under=st.sampled_from(NORMS), dtype=st.sampled_from([torch.float32, torch.float64]))
def test_projection_is_inside_and_idempotent(seed: int, under: Norm, dtype: torch.dtype) -> None:
    c = case(seed, n=12, dtype=dtype)
    tolerance = 1e-9 if dtype is torch.float64 else 1e-5
    once = under.project(c["d"], c["eps"], c["low"], c["high"])
    assert inside(under, once, c["eps"], c["low"], c["high"], tolerance)
    twice = under.project(once, c["eps"], c["low"], c["high"])
    assert torch.allclose(once, twice, atol=tolerance)


@fast
@given(seed=st.integers(0, 10**6), under=st.sampled_from(NORMS))
def test_projection_leaves_what_is_inside_alone(seed: int, under: Norm) -> None:
    c = case(seed)
    d = torch.minimum(torch.maximum(c["d"], c["low"]), c["high"])
    assert torch.equal(under.project(d, under.size(d) + 0.1, c["low"], c["high"]), d)


def _nearest(under: Norm, d: np.ndarray, eps: float, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The projection by a general convex solver. L1 in split variables, so that everything is smooth."""
    n = len(d)
    if under == L1:
        result = minimize(
            lambda v: float(((v[:n] - v[n:] - d) ** 2).sum()),
            np.zeros(2 * n),
            jac=lambda v: np.concatenate([2 * (v[:n] - v[n:] - d), -2 * (v[:n] - v[n:] - d)]),
            bounds=[(0, h) for h in high] + [(0, -lo) for lo in low],
            constraints=[{"type": "ineq", "fun": lambda v: eps - v.sum(), "jac": lambda v: -np.ones(2 * n)}],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return np.asarray(result.x[:n] - result.x[n:])
    if under == Linf:
        low, high = np.maximum(low, -eps), np.minimum(high, eps)
    ball = {"type": "ineq", "fun": lambda v: eps**2 - (v**2).sum(), "jac": lambda v: -2 * v}
    result = minimize(
        lambda v: float(((v - d) ** 2).sum()),
        np.zeros(n),
        jac=lambda v: 2 * (v - d),
        bounds=list(zip(low, high, strict=True)),
        constraints=[] if under == Linf else [ball],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    return np.asarray(result.x)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), under=st.sampled_from(CONVEX))
def test_projection_is_the_nearest_point_by_a_convex_solver(seed: int, under: Norm) -> None:
    c = case(seed, rows=2)
    ours = under.project(c["d"], c["eps"], c["low"], c["high"])
    for i in range(2):
        row = (c["d"][i].numpy(), float(c["eps"][i]), c["low"][i].numpy(), c["high"][i].numpy())
        theirs = _nearest(under, *row)
        reached = float(np.linalg.norm(ours[i].numpy() - row[0]))
        assert reached <= float(np.linalg.norm(theirs - row[0])) + 1e-5


@fast
@given(seed=st.integers(0, 10**6), under=st.sampled_from(CONVEX))
def test_no_allowed_point_is_nearer_than_the_projection(seed: int, under: Norm) -> None:
    """The optimality condition of a projection on a convex set: <d - p, q - p> <= 0 for every allowed q."""
    c = case(seed, n=9)
    p = under.project(c["d"], c["eps"], c["low"], c["high"])
    for k in range(20):
        q = under.project(case(seed + k + 1, n=9)["d"], c["eps"], c["low"], c["high"])
        assert bool((((c["d"] - p) * (q - p)).sum(1) <= 1e-8 * (1 + c["d"].abs().sum(1))).all())


@fast
@given(seed=st.integers(0, 10**6), count=st.integers(0, 5))
def test_l0_projection_is_the_nearest_by_brute_force(seed: int, count: int) -> None:
    c = case(seed, rows=1)
    inside_box = torch.minimum(torch.maximum(c["d"], c["low"]), c["high"])
    ours = L0.project(c["d"], torch.tensor([count + 0.5]), c["low"], c["high"])
    best = math.inf
    for mask in range(32):
        chosen = torch.tensor([(mask >> i) & 1 for i in range(5)], dtype=torch.float64)
        if chosen.sum() <= count:
            best = min(best, float((inside_box * chosen - c["d"]).square().sum()))
    assert float((ours - c["d"]).square().sum()) == pytest.approx(best)


@pytest.mark.parametrize("under", NORMS)
def test_eps_zero_and_eps_infinite(under: Norm) -> None:
    c = case(11)
    nothing = torch.zeros_like(c["eps"])
    everything = torch.full_like(c["eps"], torch.inf)
    assert bool((under.project(c["d"], nothing, c["low"], c["high"]) == 0).all())
    assert bool((under.linear_maximizer(c["g"], nothing, c["low"], c["high"]) == 0).all())
    clipped = torch.minimum(torch.maximum(c["d"], c["low"]), c["high"])
    assert torch.equal(under.project(c["d"], everything, c["low"], c["high"]), clipped)
    corner = torch.where(c["g"] > 0, c["high"], torch.where(c["g"] < 0, c["low"], 0))
    assert torch.allclose(under.linear_maximizer(c["g"], everything, c["low"], c["high"]), corner)


@pytest.mark.parametrize("under", NORMS)
def test_rows_do_not_influence_each_other(under: Norm) -> None:
    c = case(12, rows=6, n=30)
    for move in (
        lambda k: under.project(c["d"][k], c["eps"][k], c["low"][k], c["high"][k]),
        lambda k: under.linear_maximizer(c["g"][k], c["eps"][k], c["low"][k], c["high"][k]),
        lambda k: under.steepest(c["g"][k]),
    ):
        whole = move(slice(None))
        for i in range(6):
            assert torch.allclose(whole[i : i + 1], move(slice(i, i + 1)), atol=1e-12)


@pytest.mark.parametrize("under", CONVEX)
def test_float32_projection_stays_inside_from_very_far(under: Norm) -> None:
    c = case(13, rows=20, n=200, dtype=torch.float32)
    far = c["d"] * 1e5
    eps = c["eps"] * 0.1
    assert inside(under, under.project(far, eps, c["low"], c["high"]), eps, c["low"], c["high"], 1e-6)


# --- directions -----------------------------------------------------------------------------------------------


@fast
@given(seed=st.integers(0, 10**6), under=st.sampled_from(CONVEX))
def test_steepest_has_unit_size_and_goes_up(seed: int, under: Norm) -> None:
    g = case(seed)["g"]
    step = under.steepest(g)
    assert torch.allclose(under.size(step), torch.where(g.abs().amax(1) > 0, 1.0, 0.0).double())
    assert bool(((g * step).sum(1) >= 0).all())
    assert torch.allclose((g * step).sum(1), under.dual_size(g)), "under no bounds it gains what the dual norm says"


@pytest.mark.parametrize("under", CONVEX)
@pytest.mark.parametrize("scale", [1e-30, 1e-20, 1e20])
def test_steepest_does_not_depend_on_the_scale_of_the_gradient(under: Norm, scale: float) -> None:
    """Clean MNIST gradients reach 1e-8 and their squares underflow in float32; the direction must not care."""
    g = torch.tensor([[3.0, -4.0, 0.5]])
    assert torch.allclose(under.steepest(g * scale), under.steepest(g), atol=1e-6)


@pytest.mark.parametrize("under", NORMS)
def test_a_zero_gradient_gives_no_direction_and_no_nan(under: Norm) -> None:
    c = case(14)
    zero = torch.zeros_like(c["g"])
    assert bool((under.steepest(zero) == 0).all())
    assert bool((under.linear_maximizer(zero, c["eps"], c["low"], c["high"]) == 0).all())


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_furthest_is_optimal_by_linear_programming(seed: int) -> None:
    """L1 and Linf: max <g, d> over ball and box is a linear program (L1 in split variables)."""
    c = case(seed, rows=1)
    g, eps = c["g"][0].numpy(), float(c["eps"][0])
    low, high = c["low"][0].numpy(), c["high"][0].numpy()
    l1 = linprog(
        np.concatenate([-g, g]),
        A_ub=np.ones((1, 10)),
        b_ub=[eps],
        bounds=[(0, h) for h in high] + [(0, -lo) for lo in low],
    )
    linf = linprog(-g, bounds=[(max(lo, -eps), min(h, eps)) for lo, h in zip(low, high, strict=True)])
    for under, best in ((L1, l1), (Linf, linf)):
        d = under.linear_maximizer(c["g"], c["eps"], c["low"], c["high"])
        assert inside(under, d, c["eps"], c["low"], c["high"])
        assert float((c["g"] * d).sum()) == pytest.approx(-best.fun, abs=1e-9)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6))
def test_furthest_in_l2_is_optimal_by_a_convex_solver(seed: int) -> None:
    c = case(seed, rows=1)
    g, eps = c["g"][0].numpy(), float(c["eps"][0])
    best = minimize(
        lambda v: -float(g @ v),
        np.zeros(5),
        jac=lambda v: -g,
        bounds=list(zip(c["low"][0].numpy(), c["high"][0].numpy(), strict=True)),
        constraints=[{"type": "ineq", "fun": lambda v: eps**2 - (v**2).sum(), "jac": lambda v: -2 * v}],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    d = L2.linear_maximizer(c["g"], c["eps"], c["low"], c["high"])
    assert inside(L2, d, c["eps"], c["low"], c["high"])
    assert float((c["g"] * d).sum()) >= -best.fun - 1e-6


def test_furthest_in_l2_survives_gradients_of_very_different_size() -> None:
    """With the large one at its bound, the tiny one must take what is left of eps, not run to its own bound."""
    g = torch.tensor([[1.0, 1e-14, 1e-30]])
    high = torch.tensor([[0.1, 1.0, 1.0]])
    d = L2.linear_maximizer(g, torch.tensor([0.5]), -high, high)
    assert float(L2.size(d)) <= 0.5 * (1 + 1e-6)


@fast
@given(seed=st.integers(0, 10**6), count=st.integers(0, 5))
def test_furthest_in_l0_is_optimal_by_brute_force(seed: int, count: int) -> None:
    c = case(seed, rows=1)
    gains = torch.where(c["g"] > 0, c["g"] * c["high"], c["g"] * c["low"])[0].sort(descending=True).values
    d = L0.linear_maximizer(c["g"], torch.tensor([float(count)]), c["low"], c["high"])
    assert float((c["g"] * d).sum()) == pytest.approx(float(gains[:count].sum()), abs=1e-12)
    assert int(L0.size(d)) <= count


# --- samples and balls ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("under", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samples_are_inside_and_differ(under: Norm, dtype: torch.dtype) -> None:
    c = case(15, rows=50, n=20, dtype=dtype)
    eps = c["eps"] + (1 if under == L0 else 0)
    for drawn in (eps, torch.full_like(eps, torch.inf)):
        d = under.sample(Noise.of(c["x"], 0), drawn, c["low"], c["high"])
        assert d.dtype == dtype
        assert bool(d.isfinite().all())
        assert inside(under, d, drawn, c["low"], c["high"], 1e-5)
        assert len({tuple(row) for row in d.tolist()}) == 50
    again = under.sample(Noise.of(c["x"][3:4], 0), eps[3:4], c["low"][3:4], c["high"][3:4])
    first = under.sample(Noise.of(c["x"], 0), eps, c["low"], c["high"])
    assert torch.allclose(again[0], first[3]), "a sample's start must not depend on its neighbours"


@pytest.mark.parametrize(("under", "share"), [(L1, 0.5**3), (L2, 0.5**3), (Linf, 0.5**3)])
def test_samples_are_uniform_in_the_ball(under: Norm, share: float) -> None:
    """In three dimensions an eighth of a ball's volume lies within half its radius."""
    x = torch.rand(4000, 3, generator=torch.Generator().manual_seed(0)) * 0.01 + 0.495
    d = under.sample(Noise.of(x, 0), torch.full((4000,), 0.4), -x, 1 - x)
    within = float((under.size(d) < 0.2).double().mean())
    assert abs(within - share) < 4 * math.sqrt(share * (1 - share) / 4000)
    assert bool((d.mean(0).abs() < 0.02).all())


@pytest.mark.parametrize("under", NORMS)
def test_ball_keeps_to_box_and_eps_around_the_image(under: Norm) -> None:
    c = case(16, rows=8, n=12)
    x = c["x"].reshape(8, 3, 2, 2) * 255
    eps = torch.full((8,), 3.0, dtype=x.dtype)
    ball = Ball(x, under, eps, (0.0, 255.0))
    noise = Noise.of(x, 1)
    far = x + 500 * c["d"].reshape(x.shape)
    for z in (
        ball.project(far),
        ball.linear_maximizer(far - x),
        ball.sample(noise),
        ball.surface(noise),
        ball.project(x),
    ):
        assert z.shape == x.shape
        assert bool(ball.contains(z).all())
        assert bool((ball.distance(z) <= 3 * (1 + 1e-5)).all())
        assert bool((z >= 0).all() and (z <= 255).all())
    assert torch.equal(ball.project(x), x)
    assert bool((ball.distance(ball.surface(noise)) > 0).all())
    part = ball[torch.tensor([2, 5])]
    assert torch.equal(part.project(far[[2, 5]]), ball.project(far)[[2, 5]])
    assert bool((ball.with_eps(eps / 3).distance(ball.with_eps(eps / 3).project(far)) <= 1 + 1e-5).all())


@pytest.mark.parametrize("under", NORMS)
def test_ball_refuses_what_is_outside(under: Norm) -> None:
    x = torch.full((1, 4), 0.5)
    ball = Ball(x, under, torch.tensor([1.0 if under == L0 else 0.1]), (0.0, 1.0))
    good = x + torch.tensor([[0.05, 0, 0, 0]])
    assert bool(ball.contains(good))
    assert not bool(ball.contains(x + torch.tensor([[0.2, 0.2, 0, 0]])))
    assert not bool(ball.contains(good.masked_fill(good > 0.5, torch.nan)))
    wide = Ball(x, under, torch.tensor([torch.inf]), (0.0, 1.0))
    assert not bool(wide.contains(x + torch.tensor([[0.51, 0, 0, 0]])))


@fast
@given(seed=st.integers(0, 10**6), under=st.sampled_from(NORMS), box=st.sampled_from([(0.0, 1.0), (-1.0, 1.0)]))
def test_snap_goes_to_the_grid_and_stays_in_the_ball(seed: int, under: Norm, box: tuple[float, float]) -> None:
    c = case(seed, rows=6, n=10, dtype=torch.float32)
    low, high = box
    x = (c["x"] * 255).round() / 255 * (high - low) + low
    eps = c["eps"].ceil() if under == L0 else c["eps"] * 0.2
    ball = Ball(x, under, eps, box, 256)
    assert ball.on_grid()
    assert torch.equal(ball.snap(x), x)
    z = ball.snap(ball.project(x + c["d"]))
    step = (z - low) / (high - low) * 255
    assert bool(((step - step.round()).abs() < 1e-3).all())
    assert bool(ball.contains(z).all())
    assert not Ball(x + 0.3 / 255, under, eps, (low, high + 1), 256).on_grid()


# --- the examiner's closed form -------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), share=st.floats(0.05, 0.95))
def test_halfspace_distance_by_solvers_and_brute_force(seed: int, share: float) -> None:
    c = case(seed, rows=1)
    w, low, high = c["g"][0].numpy(), c["low"][0].numpy(), c["high"][0].numpy()
    reach = float(np.maximum(w * high, w * low).sum())
    gap = torch.tensor([reach * share], dtype=torch.float64)
    if reach < 1e-6:
        return
    found = {n: float(halfspace_distance(n, c["g"], gap, c["low"], c["high"])) for n in ("L0", "L1", "L2", "Linf")}
    l1 = linprog(
        np.ones(10),
        A_ub=-np.concatenate([w, -w])[None],
        b_ub=[-float(gap)],
        bounds=[(0, h) for h in high] + [(0, -lo) for lo in low],
    )
    assert found["L1"] == pytest.approx(l1.fun, rel=1e-6)
    linf = linprog(
        np.array([0.0] * 5 + [1.0]),
        A_ub=np.vstack([np.append(-w, 0), np.c_[np.eye(5), -np.ones(5)], np.c_[-np.eye(5), -np.ones(5)]]),
        b_ub=[-float(gap), *[0.0] * 10],
        bounds=[*zip(low, high, strict=True), (0, None)],
    )
    assert found["Linf"] == pytest.approx(linf.fun, rel=1e-6)
    l2 = minimize(
        lambda v: float((v**2).sum()),
        np.where(w > 0, high, low) * 0.99,
        jac=lambda v: 2 * v,
        bounds=list(zip(low, high, strict=True)),
        constraints=[{"type": "ineq", "fun": lambda v: w @ v - float(gap), "jac": lambda v: w}],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert found["L2"] == pytest.approx(math.sqrt(l2.fun), rel=1e-4)
    gains = np.sort(np.maximum(w * high, w * low))[::-1].cumsum()
    assert found["L0"] == 1 + int((gains < float(gap) - 1e-12).sum())


def test_halfspace_distance_says_when_the_box_forbids_it() -> None:
    w, bound = torch.ones(1, 2), torch.full((1, 2), 0.5)
    for name in ("L0", "L1", "L2", "Linf"):
        assert float(halfspace_distance(name, w, torch.tensor([1.1]), -bound, bound)) == math.inf
        assert float(halfspace_distance(name, w, torch.tensor([-0.1]), -bound, bound)) == 0


def test_the_prox_of_the_largest_entry_is_what_the_dual_ball_leaves_over() -> None:
    d = torch.randn(6, 50, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weight = torch.tensor([0.0, 1e-3, 0.5, 5.0, 20.0, 1e3], dtype=torch.float64)
    left = d - L1.project(d, weight, -d.abs(), d.abs())
    assert torch.allclose(Linf.prox(d, weight), left, atol=1e-12)
    assert bool((Linf.prox(d, weight)[-1] == 0).all())


@pytest.mark.parametrize("norm", NORMS)
def test_a_boundary_is_worked_out_only_where_it_is_wanted(norm: Norm) -> None:
    x = torch.rand(5, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    g = torch.randn(5, 30, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    ball, gap = Ball(x, norm, torch.full((5,), torch.inf).double(), (0.0, 1.0)), torch.ones(5).double() / 5
    wanted = torch.tensor([True, False, True, True, False])
    everywhere = boundary(ball, x, gap, g, torch.ones(5).bool())
    assert torch.equal(boundary(ball, x, gap, g, wanted), torch.where(wanted, everywhere, 0))
    reached = ball.norm.to_hyperplane(g, gap, ball.low, ball.high)
    assert torch.allclose(everywhere, norm.size(reached))


@pytest.mark.parametrize("pixels", [1, 7, 784])
def test_the_cut_by_newton_is_the_cut_by_sorting(pixels: int) -> None:
    """Ties, pixels without room, and sums at a kink included."""
    torch.manual_seed(pixels)
    for turn in range(30):
        magnitude, cap = torch.rand(9, pixels).double() ** 2, torch.rand(9, pixels).double()
        if turn % 2:
            magnitude, cap = (magnitude * 5).round() / 5, (cap * 3).round() / 3
        most = torch.minimum(magnitude, cap).sum(1)
        eps = most * torch.rand(9).double()
        cut = l1_cut(magnitude, cap, eps)
        spent = torch.minimum((magnitude - cut[:, None]).clamp(min=0), cap).sum(1)
        assert torch.allclose(spent, eps, rtol=1e-12, atol=1e-14)
        assert bool((cut >= 0).all())


@pytest.mark.parametrize("pixels", [1, 50, LARGE, 3 * LARGE + 5])
@pytest.mark.parametrize("spread", [1.0, 1e-6])  # also where nearly all are alike, as after the first step of Adam
def test_the_cut_of_the_peak_is_the_cut_by_sorting(pixels: int, spread: float) -> None:
    g = torch.Generator().manual_seed(pixels)
    magnitude = 0.1 + spread * torch.rand(6, pixels, generator=g)
    weight = torch.tensor([0.0, 1e-4, 0.01, 0.5, 5.0, 1e6])
    top = magnitude.double().sort(1, descending=True).values
    cuts = (top.cumsum(1) - weight.double()[:, None]) / torch.arange(1, pixels + 1)  # with 1, 2 ... pixels above
    exact = cuts.amax(1).clamp(min=0)
    assert torch.allclose(peak_cut(magnitude, weight).double(), exact, atol=2e-6)


def test_a_point_of_a_smaller_ball_needs_no_second_look() -> None:
    x = torch.rand(3, 5)
    around = Ball(x, L2, torch.full((3,), torch.inf), (0.0, 1.0))
    inside = around.with_eps(torch.full((3,), 0.1)).project(x + 1)
    assert around.made(inside)
    assert around.made(around.clip(x + 1))
    inside[0] = 2
    assert not around.made(inside)
    bounded = Ball(x, L2, torch.full((3,), 0.1), (0.0, 1.0))
    assert not bounded.made(bounded.with_eps(torch.full((3,), 9.0)).project(x + 1)), "it may lie outside"
    assert not bounded.made(bounded.clip(x + 1))
