"""Bounds on patches are those on whole images, for odd strides and paddings too."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.ball import Ball
from sparring.bounds import crown
from sparring.bounds.ball import Region
from sparring.bounds.read import read_graph


def convolutions(first: dict[str, int], second: dict[str, int]) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 3, **first), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 4, **second), nn.ReLU(), nn.Flatten(),
            nn.LazyLinear(3),
        )  # fmt: skip
        net(torch.zeros(2, 2, 13, 11))
        net[1].running_var.uniform_(0.5, 2)
        return net.eval().requires_grad_(False).double()


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"kernel_size": 3}, {"kernel_size": 3}),
        ({"kernel_size": 3, "padding": 2}, {"kernel_size": 3, "padding": 1}),
        ({"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "stride": 2, "padding": 1}),
        ({"kernel_size": 2, "stride": 3}, {"kernel_size": 2}),
    ],
)
@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.05), ("L2", 0.4), ("L1", 1.0)])
def test_patches_change_nothing(
    first: dict[str, int], second: dict[str, int], norm: str, eps: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = convolutions(first, second)
    x = torch.rand(3, 2, 13, 11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    graph = read_graph(sp.wrap(net), (2, 13, 11))
    threat = sp.Threat(norm, eps)
    region = Region.of(Ball(x, threat.norm, torch.full((3,), eps, dtype=torch.float64), (0.0, 1.0)))
    second_conv = graph.nodes[graph.relus[1]].inputs[0]
    assert crown.sees_patches(graph, second_conv)
    patched = crown.crown_neurons(graph, region)
    monkeypatch.setattr(crown, "sees_patches", lambda graph, number: False)
    whole = crown.crown_neurons(graph, region)
    for number in graph.relus:
        for mine, other in zip(patched.inputs[number], whole.inputs[number], strict=True):
            assert torch.allclose(mine, other, atol=1e-9)
