"""Bounds hold at every point of the ball, are ordered by tightness, and equal a linear program where one can be."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import sparring as sp
from sparring.ball import Ball
from sparring.bounds.alpha import alpha_margins
from sparring.bounds.ball import Region
from sparring.bounds.crown import crown_margins, crown_neurons, interval_margins, margin_rows
from sparring.bounds.interval import interval_bounds
from sparring.bounds.ops import Conv
from sparring.bounds.read import read_graph
from sparring.errors import InputError
from sparring.rng import Noise

_spec = importlib.util.spec_from_file_location("bounds_nets", Path(__file__).with_name("nets.py"))
assert _spec is not None
assert _spec.loader is not None
nets = sys.modules.setdefault("bounds_nets", importlib.util.module_from_spec(_spec))
_spec.loader.exec_module(nets)

THREATS = (("Linf", 0.1), ("L2", 0.4), ("L1", 1.0))


def ball_of(x: Tensor, norm: str, eps: float) -> Ball:
    return Ball(x, sp.Threat(norm, eps).norm, torch.full((len(x),), eps, dtype=x.dtype), (0.0, 1.0))


def margins_at(net: nn.Module, z: Tensor, y: Tensor) -> Tensor:
    """[B] the smallest margin at points z."""
    logits = net(z)
    own = logits.gather(1, y[:, None])
    return (own - logits.scatter(1, y[:, None], -torch.inf)).amin(1)


def all_bounds(net: nn.Module, ball: Ball, y: Tensor) -> dict[str, Tensor]:
    """[B] lower bounds of the smallest margin by every method."""
    graph = read_graph(sp.wrap(net), tuple(ball.x.shape[1:]))
    region = Region.of(ball)
    rows, owner = margin_rows(y, graph.classes, ball.x.dtype)
    neurons = crown_neurons(graph, region)
    crown = crown_margins(graph, region, neurons, rows, owner)
    found = {
        "ibp": interval_margins(graph, region, rows, owner),
        "crown": crown,
        "alpha": torch.maximum(crown, alpha_margins(graph, region, neurons.lines, rows, owner)),
    }
    return {name: bound.reshape(len(y), -1).amin(1) for name, bound in found.items()}


@pytest.mark.parametrize("name", nets.NETS)
def test_the_graph_says_what_the_net_says(name: str) -> None:
    net, x = nets.make(name), nets.images(5)
    model = sp.wrap(net, mean=0.3, std=0.5)
    graph = read_graph(model, (1, 6, 6))
    assert torch.allclose(graph.value(x), model.logits(x), atol=1e-5)


def test_mean_and_std_for_each_channel_are_read() -> None:
    net = nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8, 3)).requires_grad_(False)
    model = sp.wrap(net, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    x = torch.rand(4, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(read_graph(model, (3, 4, 4)).value(x), model.logits(x), atol=1e-5)


def test_one_logit_is_two_classes() -> None:
    model = sp.wrap(nn.Sequential(nn.Flatten(), nn.Linear(4, 1)).requires_grad_(False))
    x = torch.rand(3, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(read_graph(model, (1, 2, 2)).value(x), model.logits(x))


@pytest.mark.parametrize(
    ("layer", "said"), [(nn.Sigmoid(), "Sigmoid"), (nn.MaxPool2d(2, ceil_mode=True), "MaxPool2d"), (nn.GELU(), "GELU")]
)
def test_an_unknown_layer_is_named(layer: nn.Module, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_graph(sp.wrap(nn.Sequential(layer, nn.Flatten(), nn.Linear(36, 2))), (1, 6, 6))


class Padded(nn.Module):
    """Padding as a call."""

    def __init__(self, *how: object) -> None:
        super().__init__()
        self.how, self.last = how, nn.LazyLinear(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.pad(x, *self.how).flatten(1))  # type: ignore[arg-type, no-any-return]


@pytest.mark.parametrize("around", [(1, 1), (1, 1, 2, 2), (0, 0, 0, 0, 1, 2)])
def test_zeros_around_are_read(around: tuple[int, ...]) -> None:
    net, x = Padded(around).eval(), torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    said = net(x)
    assert torch.allclose(read_graph(sp.wrap(net), (2, 4, 4)).value(x), said, atol=1e-6)


@pytest.mark.parametrize("how", [((1, 0),), ((-1, -1),), ((1, 1), "constant", 0.5), ((1, 1, 0, 0), "reflect")])
def test_other_padding_is_refused_in_one_line(how: tuple[object, ...]) -> None:
    net = Padded(*how).eval()
    net(torch.zeros(1, 2, 4, 4))
    with pytest.raises(InputError, match=r"padding .* is not supported by bounds") as told:
        read_graph(sp.wrap(net), (2, 4, 4))
    assert "\n" not in str(told.value)


def test_a_net_that_branches_on_its_input_is_refused() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x) if float(x.sum()) > 0 else -self.last(x)  # type: ignore[no-any-return]

    with pytest.raises(InputError, match="Branching cannot be read"):
        read_graph(sp.wrap(Branching()), (4,))


def test_a_defense_in_front_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 2))
    with pytest.raises(InputError, match="in front of it"):
        read_graph(sp.defend(sp.wrap(net), "bits:4"), (1, 6, 6))


@pytest.mark.long
@pytest.mark.parametrize(("norm", "eps"), THREATS)
@given(seed=st.integers(0, 10_000), name=st.sampled_from(sorted(nets.NETS)), scale=st.sampled_from([0.2, 1.0, 4.0]))
@settings(max_examples=8, deadline=None)
def test_no_point_of_the_ball_lies_below_a_bound(norm: str, eps: float, seed: int, name: str, scale: float) -> None:
    """Random points, the corners of linear models and PGD, all in float64: there is no rounding to hide behind."""
    net, x = nets.make(name, seed, torch.float64), nets.images(3, seed, torch.float64)
    y = net(x).argmax(1)
    ball = ball_of(x, norm, eps * scale)
    bounds = all_bounds(net, ball, y)
    points = [ball.sample(Noise.of(x, i)) for i in range(10)]
    points += [ball.linear_maximizer(Noise.of(x, i).normal(*x.shape[1:], dtype=x.dtype)) for i in range(10)]
    attacked = sp.PGD(steps=15)(net, x, y, (norm, eps * scale), keep="margin").x_adv
    lowest = torch.stack([margins_at(net, z, y) for z in [*points, attacked]]).amin(0)
    for method, bound in bounds.items():
        assert bool((bound <= lowest + 1e-9).all()), method


@pytest.mark.parametrize(("norm", "eps"), THREATS)
@pytest.mark.parametrize("name", nets.NETS)
def test_the_tighter_method_is_never_looser(name: str, norm: str, eps: float) -> None:
    net, x = nets.make(name, 1), nets.images(6)
    bounds = all_bounds(net, ball_of(x, norm, eps), net(x).argmax(1))
    assert bool((bounds["ibp"] <= bounds["crown"] + 1e-5).all())
    assert bool((bounds["crown"] <= bounds["alpha"]).all())
    assert float((bounds["alpha"] - bounds["ibp"]).mean()) > 0.01  # and the order is not one of equals


@pytest.mark.parametrize(("norm", "eps"), THREATS)
def test_every_value_lies_in_its_interval(norm: str, eps: float) -> None:
    net, x = nets.make("residual", 3, torch.float64), nets.images(4, 3, torch.float64)
    graph, ball = read_graph(sp.wrap(net), (1, 6, 6)), ball_of(x, norm, eps)
    region = Region.of(ball)
    intervals, neurons = interval_bounds(graph, *region.box), crown_neurons(graph, region)
    for draw in range(20):
        values = graph.values(ball.sample(Noise.of(x, draw)))
        for (low, high), value in zip(intervals, values, strict=True):
            assert bool(((low - 1e-12 <= value) & (value <= high + 1e-12)).all())
        for relu, (low, high) in neurons.inputs.items():
            value = values[graph.nodes[relu].inputs[0]]
            assert bool(((low <= value) & (value <= high)).all())


def test_the_bound_of_an_affine_net_is_its_least_margin() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 4)).double().requires_grad_(False)
    x = nets.images(5, dtype=torch.float64)
    y = net(x).argmax(1)
    for norm, eps in THREATS:
        ball = ball_of(x, norm, eps)
        worst = torch.full((5,), torch.inf, dtype=torch.float64)
        for other in range(4):
            row = (net[1].weight[y] - net[1].weight[other]).reshape(x.shape)
            least = margins_to(net, ball.linear_maximizer(-row), y, other)
            worst = torch.where(y == other, worst, torch.minimum(worst, least))
        for method, bound in all_bounds(net, ball, y).items():
            if method != "ibp" or norm == "Linf":
                assert torch.allclose(bound, worst, atol=1e-6), (norm, method)


def margins_to(net: nn.Module, z: Tensor, y: Tensor, other: int) -> Tensor:
    logits = net(z)
    return logits.gather(1, y[:, None]).squeeze(1) - logits[:, other]


@pytest.mark.parametrize("norm", ["L1", "L2"])
@given(seed=st.integers(0, 10_000), eps=st.floats(0.01, 6))
@settings(max_examples=25, deadline=None)
def test_the_least_value_over_a_ball_in_the_box(norm: str, seed: int, eps: float) -> None:
    """Never above any point's, never below the ball's alone, and reached."""
    x = nets.images(4, seed, torch.float64)
    ball = ball_of(x, norm, eps)
    region = Region.of(ball)
    a = Noise.of(x, seed).normal(36, dtype=torch.float64)
    least = region.least(a)
    there = (a * region.lowest(a)).sum(1)
    assert bool((least <= there + 1e-9).all())
    assert torch.allclose(least, there, atol=2e-3)
    q = 2 if norm == "L2" else float("inf")
    alone = (a * x.flatten(1)).sum(1) - eps * torch.linalg.vector_norm(a, q, dim=1)
    assert bool((least >= alone - 1e-9).all())


def test_crown_on_one_hidden_layer_is_a_linear_program() -> None:
    """With the slopes of alpha-CROWN at their best, the bound is that of the triangle relaxation (strong duality)."""
    from scipy.optimize import linprog

    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 3)).double().requires_grad_(False)
    x = nets.images(3, dtype=torch.float64)
    y = net(x).argmax(1)
    ball = ball_of(x, "Linf", 0.15)
    region = Region.of(ball)
    graph = read_graph(sp.wrap(net), (1, 6, 6))
    rows, owner = margin_rows(y, 3, torch.float64)
    neurons = crown_neurons(graph, region)
    crown = crown_margins(graph, region, neurons, rows, owner)
    alpha = alpha_margins(graph, region, neurons.lines, rows, owner, steps=300)
    (interval,) = neurons.inputs.values()
    (line,) = neurons.lines.values()
    for r in range(len(rows)):
        b = int(owner[r])
        low, high = interval[0][b], interval[1][b]
        w, c = net[1].weight, net[1].bias
        cost = torch.cat([torch.zeros(36), rows[r] @ net[3].weight]).numpy()
        eye = torch.eye(6, dtype=torch.float64)
        above = torch.cat([-line.above[b][:, None] * w, eye], 1), line.above[b] * c + line.shift[b]
        below = torch.cat([w, -eye], 1), -c
        fixed = [(0.0, 0.0) if high[j] <= 0 else (0.0, None) for j in range(6)]
        box = torch.stack(region.box, 2)[b].tolist()
        solved = linprog(
            cost,
            A_ub=torch.cat([above[0], below[0]]).numpy(),
            b_ub=torch.cat([above[1], below[1]]).numpy(),
            bounds=[*box, *fixed],
        )
        optimum = solved.fun + float(rows[r] @ net[3].bias)
        assert float(crown[r]) <= optimum + 1e-7
        assert float(alpha[r]) <= optimum + 1e-7
        assert float(alpha[r]) == pytest.approx(optimum, abs=5e-3)
        assert bool((low < 0).any())


def test_a_region_of_the_threat_holds_the_other_pixels() -> None:
    net, x = nets.make("dense"), nets.images(4)
    y = net(x).argmax(1)
    free = torch.zeros(4, 1, 6, 6, dtype=torch.bool)
    free[..., :2, :2] = True
    whole, part = ball_of(x, "Linf", 0.3), Ball(x, sp.Linf, torch.full((4,), 0.3), (0.0, 1.0), None, free)
    assert bool((all_bounds(net, part, y)["crown"] > all_bounds(net, whole, y)["crown"]).all())


@pytest.mark.parametrize("channels", [(1, 3, 1), (2, 4, 2), (3, 5, 1)], ids=["one channel", "groups", "plain"])
@pytest.mark.parametrize("how", [(1, 0, 1), (2, 1, 1), (3, 2, 2), (3, 0, 1)], ids=str)
def test_coefficients_go_back_through_a_convolution_as_its_gradient(
    channels: tuple[int, int, int], how: tuple[int, int, int]
) -> None:
    (into, out, groups), (stride, padding, dilation) = channels, how
    layer = nn.Conv2d(into, out, (3, 2), stride, padding, dilation, groups).double().requires_grad_(False)
    x = torch.rand(2, into, 11, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    graph = read_graph(sp.wrap(nn.Sequential(layer, nn.Flatten())), (into, 11, 9))
    op = graph.nodes[1].op
    assert isinstance(op, Conv)
    answer = layer(x)
    a = torch.rand(answer.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((answer * a).sum(), x)
    assert torch.allclose(op.pull(a), gradient)
