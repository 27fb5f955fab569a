"""ZOO: slopes against autograd, coordinates drawn fairly, distances against an attack that sees gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack, register
from sparring.blocks.estimators.coordinates import choose, differences, importance
from sparring.bout import Bout
from sparring.norms import L2
from sparring.rng import Noise
from sparring.testing.fixtures import Changed, Paper, curved


def inside(paper: Paper, look: Callable[[Bout], Any]) -> Any:
    seen: list[Any] = []
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("looking", title="S", sees="score", norms=(L2,), aim="minimum", paper="none", year=2024)(
            type("S", (Attack,), {"run": lambda self, bout: seen.append(look(bout))})
        )
    made()(paper.net, paper.x, paper.y, sp.Threat("L2", 1e-9))
    return seen[0]


def test_slopes_and_curvatures_are_those_of_autograd() -> None:
    paper = curved()
    paper = Paper(paper.net, paper.x.clamp(0.1, 0.9), paper.classes(paper.x.clamp(0.1, 0.9)))
    at = torch.arange(20).expand(5, -1)
    slopes = inside(paper, lambda bout: differences(bout, bout.x, at, 1e-3))

    def missing(flat: Tensor, i: int) -> Tensor:
        margin: Tensor = sp.Untargeted(paper.y[i : i + 1]).margin(paper.net(flat.reshape(1, 1, 4, 5)))
        return -margin.squeeze()

    for i in range(5):
        g = torch.autograd.functional.jacobian(lambda flat, i=i: missing(flat, i), paper.x[i].flatten())  # type: ignore[no-untyped-call]
        h = torch.autograd.functional.hessian(lambda flat, i=i: missing(flat, i), paper.x[i].flatten())  # type: ignore[no-untyped-call]
        assert torch.allclose(slopes.first[i], g, atol=1e-4)
        assert torch.allclose(slopes.second[i], h.diagonal(), atol=1e-3)
        assert float(slopes.missing[i]) == pytest.approx(float(missing(paper.x[i].flatten(), i).detach()))


def test_at_a_bound_one_side_is_enough_and_the_probes_stay_inside() -> None:
    paper = curved()
    at = torch.arange(20).expand(5, -1)
    slopes = inside(paper, lambda bout: differences(bout, bout.x, at, 1e-5))
    x = paper.x.clone().requires_grad_()
    (g,) = torch.autograd.grad(-sp.Untargeted(paper.y).margin(paper.net(x)).sum(), x)
    assert torch.allclose(slopes.first, g.flatten(1), atol=1e-3)
    at_bound = ((paper.x == 0) | (paper.x == 1)).flatten(1)
    assert bool((slopes.second[at_bound] == 0).all())


def test_a_probe_that_meets_nan_is_like_one_that_the_box_cuts_off() -> None:
    paper = curved()
    paper = Paper(paper.net, paper.x.clamp(0.1, 0.9), paper.classes(paper.x.clamp(0.1, 0.9)))
    at = torch.arange(20).expand(5, -1)
    hurt = Changed(
        paper.net,
        after=lambda z, x: z.masked_fill((x > (paper.x + 5e-6).amax(0)).flatten(1).any(1)[:, None], torch.nan),
    )
    whole, slopes = (
        inside(Paper(net, paper.x, paper.y), lambda bout: differences(bout, bout.x, at, 1e-5))
        for net in (paper.net, hurt)
    )
    largest = (paper.x == paper.x.amax(0)).flatten(1)  # one step up from there is NaN
    assert bool(largest.any(0).all())
    assert torch.allclose(slopes.first, whole.first, atol=1e-3)
    assert bool((slopes.second[largest] == 0).all())
    assert torch.allclose(slopes.second[~largest], whole.second[~largest])


def test_a_point_that_meets_nan_is_infinitely_short() -> None:
    paper = curved()
    net = Changed(paper.net, after=lambda z, x: z.masked_fill((x.flatten(1)[:, :1] < 0), torch.nan))
    z = paper.x.clone()
    z[:, 0, 0, 0] = -1
    at = torch.arange(20).expand(5, -1)
    slopes = inside(Paper(net, paper.x, paper.y), lambda bout: differences(bout, z, at, 1e-3))
    assert bool(slopes.missing.isinf().all())
    assert bool(slopes.first.isfinite().all())
    assert bool(slopes.second.isfinite().all())


def test_coordinates_are_different_and_as_likely_as_their_weight() -> None:
    noise = Noise(torch.arange(2000))
    weight = torch.tensor([4.0, 2.0, 1.0, 1.0, 0.0]).expand(2000, -1)
    first = torch.bincount(choose(noise, weight, 1).flatten(), minlength=5) / 2000
    assert torch.allclose(first, torch.tensor([0.5, 0.25, 0.125, 0.125, 0.0]), atol=0.04)
    several = choose(noise, weight, 4)
    assert bool((several.sort(1).values.diff(dim=1) > 0).all())
    assert not bool((several == 4).any())
    assert choose(noise, weight, 9).shape == (2000, 5)


def test_importance_is_even_at_first_and_then_near_the_changes() -> None:
    paper = curved()
    even, near = inside(
        paper,
        lambda bout: (
            importance(bout, bout.x),
            importance(bout, bout.x.index_put((torch.tensor(0),), bout.x[0] + torch.eye(4, 5))),
        ),
    )
    assert bool((even == even[0, 0]).all())
    assert float(near[0].max()) > 5 * float(near[0].min())


@pytest.mark.long
@pytest.mark.parametrize("solver", ["adam", "newton:lr=0.5,h=0.02"])
def test_distances_come_near_those_that_gradients_find(solver: str) -> None:
    x, y = sp.load_data("mnist5k", n=3).tensors()
    net = sp.load_model("mnist-cnn")
    best = sp.attack("ddn:steps=100")(net, x, y, sp.Threat("L2")).distance
    result = sp.attack(f"zoo:steps=60,search=2,solver={solver.replace(':', ',')}")(net, x, y, sp.Threat("L2"))
    assert bool(result.success.all())
    assert bool((result.distance <= 1.25 * best).all())
    assert int(result.queries.max()) <= 1 + 257 + 2 * (60 * 257 + 1)


@pytest.mark.long
def test_a_target_is_reached() -> None:
    x, y = sp.load_data("mnist5k", n=2).tensors()
    net = sp.load_model("mnist-cnn")
    goal = sp.Targeted((y + 1) % 10, y)
    best = sp.attack("ddn:steps=100")(net, x, goal, sp.Threat("L2")).distance
    result = sp.attack("zoo:steps=80,search=2")(net, x, goal, sp.Threat("L2"))
    assert bool((result.distance <= 1.5 * best).all())
