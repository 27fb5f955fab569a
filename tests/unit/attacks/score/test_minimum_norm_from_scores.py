"""The smallest perturbation from scores: near the closed form, nearer than from classes, inside the budget."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.blocks.portfolio import Turn, even
from sparring.testing.fixtures import affine


@pytest.mark.long
@pytest.mark.parametrize("norm", ["Linf", "L2", "L1"])
def test_on_an_affine_net_it_comes_near_the_closed_form(norm: str) -> None:
    paper = affine(classes=2)
    found = sp.minimum_norm(paper.net, paper.x, paper.y, norm, sees="score", budget=sp.Budget(queries=1500))
    best = paper.optimum(sp.Threat(norm).norm)
    assert bool((found.distance <= 1.5 * best).all())
    assert bool((found.distance >= best * (1 - 1e-5)).all())
    assert int(found.queries.max()) <= 1500
    assert not bool(found.gradients.any())


@pytest.mark.long
def test_a_model_that_gives_scores_alone_is_enough() -> None:
    paper = affine()
    model = sp.wrap(paper.net, access="score")
    assert bool(sp.minimum_norm(model, paper.x, paper.y, "Linf", sees="score").success.all())
    with pytest.raises(sp.AccessError):
        sp.minimum_norm(model, paper.x, paper.y, "Linf")


def test_shares_are_of_what_is_left() -> None:
    assert [turn.share for turn in even("a+b+c")] == [pytest.approx(1 / 3), 0.5, 1]
    assert Turn("a").most is None


@pytest.mark.long
@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_random_search_in_a_shrinking_ball_comes_nearer_than_classes_alone(norm: str) -> None:
    x, y = sp.load_data("mnist5k", n=5).tensors()
    net = sp.load_model("mnist-cnn")
    score, decision = (
        sp.minimum_norm(net, x, y, norm, sees=sees, budget=sp.Budget(queries=1000)).distance.median()
        for sees in ("score", "decision")
    )
    assert float(score) <= float(decision)


def test_it_finds_nothing_where_nothing_is() -> None:
    constant = nn.Sequential(nn.Flatten(), nn.Linear(20, 2)).double().requires_grad_(False)
    constant[1].weight.zero_()
    constant[1].bias.copy_(torch.tensor([1.0, 0.0]))
    paper = affine()
    found = sp.minimum_norm(constant, paper.x, torch.zeros(5, dtype=torch.int64), "L2", sees="score")
    assert not bool(found.success.any())
    assert int(found.queries.max()) < 300
