"""The nearest point of a linear region: against a net that is linear, and never outside of the region."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.ball import Ball
from sparring.blocks.exact.linear_region import descended
from sparring.blocks.exact.program import Program
from sparring.bounds.read import read_graph

np = pytest.importorskip("numpy")
pytest.importorskip("highspy", reason="needs the extra 'certify'")


def ball_of(x: Tensor, norm: str) -> Ball:
    return Ball(x, sp.Threat(norm, None).norm, torch.full((1,), torch.inf, dtype=x.dtype), (0.0, 1.0))


def two_layers(seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double().requires_grad_(False)


@pytest.mark.parametrize(("norm", "size"), [("Linf", 0.1), ("L1", 0.15)])
def test_of_a_linear_net_it_is_the_closed_form(norm: str, size: float) -> None:
    """z_1 - z_0 = 2 b - a of pixels (a, b) = (0.5, 0.1): -0.3; per unit of size Linf gains 3, L1 gains 2."""
    net = nn.Linear(2, 2, bias=False).double().requires_grad_(False)
    net.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
    x = torch.tensor([[0.5, 0.1]], dtype=torch.float64)
    way = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    found = descended(read_graph(sp.wrap(net), (2,)), ball_of(x, norm), [way], torch.tensor([0.0, 1.0]).double())
    assert found is not None
    assert found[0] == pytest.approx(size, abs=1e-6)
    assert float((way @ net(found[1])).min()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("norm", ["Linf", "L1"])
def test_it_keeps_the_sides_of_the_relus_and_only_comes_nearer(norm: str) -> None:
    for seed in range(6):
        net, generator = two_layers(seed), torch.Generator().manual_seed(seed)
        x, z = torch.rand(2, 1, 5, generator=generator, dtype=torch.float64)
        label = int(net(x).argmax())
        eye = torch.eye(3, dtype=torch.float64)
        ways = [(eye[k] - eye[label])[None] for k in range(3) if k != label]
        found = descended(read_graph(sp.wrap(net), (5,)), ball_of(x, norm), ways, z[0])
        away = int(net(z).argmax()) != label
        assert found is not None or not away, "the point itself fools, so its region holds one"
        if found is None:
            continue
        size, point = found
        sides = (net[0](point) * net[0](z[0]).sign()).min()
        assert float(sides) > -1e-6
        assert max(float(way @ net(point)) for way in ways) > -1e-6
        whole = (z - x).abs().max() if norm == "Linf" else (z - x).abs().sum()
        assert size <= float(whole) + 1e-6 or not away


def test_pixels_outside_of_the_region_of_the_threat_stay() -> None:
    net = nn.Linear(2, 2, bias=False).double().requires_grad_(False)
    net.weight.copy_(torch.eye(2))
    x = torch.tensor([[0.6, 0.2]], dtype=torch.float64)
    ball = Ball(x, sp.Threat("Linf", None).norm, torch.tensor([torch.inf]).double(), (0.0, 1.0), None, x < 0.5)
    way = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    found = descended(read_graph(sp.wrap(net), (2,)), ball, [way], torch.tensor([0.0, 1.0]).double())
    assert found is not None
    assert found[1].tolist() == pytest.approx([0.6, 0.6], abs=1e-6)


def test_a_program_with_whole_numbers() -> None:
    """Maximise 3 a + 2 b with a + b <= 2.5 and a whole: a = 2, b = 0.5."""
    program = Program()
    a = program.columns(np.zeros(1), np.full(1, 5.0), cost=-3.0, whole=True)
    b = program.columns(np.zeros(1), np.full(1, 5.0), cost=-2.0)
    program.rows([(a, np.ones((1, 1))), (b, np.ones((1, 1)))], -np.inf, 2.5)
    solved = program.solve(10.0)
    assert solved.values is not None
    assert solved.values[0] == pytest.approx(round(solved.values[0]), abs=1e-6)
    assert solved.cost <= -7 / 1.5  # within GAP of the best, -7
    program.rows([(a, np.ones((1, 1)))], 3.0, np.inf)
    assert program.solve(10.0).values is None
    assert program.solve(10.0).proved
