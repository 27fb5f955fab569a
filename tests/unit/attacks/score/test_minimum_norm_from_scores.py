"""The smallest perturbation from scores: near the closed form, nearer than from classes, inside the budget."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.blocks.portfolio import Turn, even
from sparring.errors import InputError
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


@pytest.mark.parametrize("spec", ["square-min:queries=150", "signhunter-min:queries=150"])
@pytest.mark.parametrize("loss", ["ce", "log-odds"])
def test_whatever_must_rise_a_success_is_what_fools(spec: str, loss: str) -> None:
    """Cross-entropy is above 0 everywhere: a ball that shrank by it would soon be empty."""
    paper = affine(classes=2)  # with two classes both order points as the margin does
    by_margin, other = (
        sp.attack(f"{spec}{more}")(paper.net, paper.x, paper.y, ("Linf", None)) for more in ("", f",loss={loss}")
    )
    assert torch.allclose(by_margin.distance, other.distance, rtol=1e-6)
    assert torch.equal(by_margin.queries, other.queries)


@pytest.mark.parametrize(
    ("spec", "norm", "message"),
    [
        ("min-norm-score:attacks=nes", "Linf", "nes has no field 'queries'"),
        ("min-norm-score:attacks=rays+square", "Linf", "square does not look for the smallest perturbation"),
        ("min-norm-score:attacks=fmn", "L2", "fmn has no field 'queries'"),
        ("min-norm-decision:attacks=cgba", "Linf", "cgba works under L2, not Linf"),
        ("min-norm-decision:attacks=square-min", "L2", "square-min needs score access, but .* sees decision"),
        ("min-norm-decision:attacks=+", "L2", "'\\+' names no attack"),
        ("min-norm-decision:attacks=rays:queries=7+adba", "Linf", "'rays:queries=7' .* leave queries out"),
    ],
)
def test_members_that_do_not_fit_are_named_before_anything_is_asked(spec: str, norm: str, message: str) -> None:
    paper, asked = affine(), []
    handle = paper.net.register_forward_hook(lambda *_: asked.append(1))
    with pytest.raises(InputError, match=message) as caught:
        sp.attack(spec)(paper.net, paper.x, paper.y, (norm, None))
    handle.remove()
    assert len(asked) == 1  # the clean images
    assert "\n" not in str(caught.value)


@pytest.mark.long
@pytest.mark.parametrize(
    ("sees", "norm", "members"),
    [
        ("score", "Linf", ("signhunter-min", "square-min", "rays")),
        ("score", "L2", ("surfree", "cgba", "square-min")),
        ("decision", "Linf", ("rays", "adba")),
        ("decision", "L2", ("surfree", "cgba")),
    ],
)
@pytest.mark.parametrize(("queries", "noise"), [(100, 1.15), (800, 1.05)])
def test_several_attacks_in_turn_come_as_near_as_the_best_of_them(
    sees: Literal["score", "decision"], norm: str, members: tuple[str, ...], queries: int, noise: float
) -> None:
    """In the geometric mean over digits, up to the noise of so few."""
    x, y = sp.load_data("mnist5k", n=12).tensors()
    net, budget = sp.load_model("mnist-cnn"), sp.Budget(queries=queries)
    together = sp.minimum_norm(net, x, y, norm, sees=sees, budget=budget)
    alone = [sp.attack(name)(net, x, y, (norm, None), budget=budget) for name in members]
    best = min(_mean(each.distance) for each in alone)
    assert int(together.queries.max()) <= queries
    assert _mean(together.distance) <= noise * best


def test_few_queries_of_random_search_are_the_first_of_many() -> None:
    """Squares must not shrink faster because a portfolio leaves them few queries: small ones find little early."""
    x, y = sp.load_data("mnist5k", n=3).tensors()
    net, budget = sp.load_model("mnist-cnn"), sp.Budget(queries=120)
    share, whole = (
        sp.attack(spec)(net, x, y, ("L2", None), budget=budget) for spec in ("square-min:queries=119", "square-min")
    )
    assert torch.equal(share.distance, whole.distance)


@pytest.mark.long
def test_with_scores_flips_of_signs_come_nearer_than_with_classes_alone() -> None:
    """SignHunter with a shrinking radius asks about the same flips as RayS, and sees more of each answer."""
    x, y = sp.load_data("mnist5k", n=12).tensors()
    net, budget = sp.load_model("mnist-cnn"), sp.Budget(queries=150)
    scores, classes = (sp.attack(name)(net, x, y, ("Linf", None), budget=budget) for name in ("signhunter-min", "rays"))
    assert int(scores.queries.max()) <= 150
    assert _mean(scores.distance) <= 0.95 * _mean(classes.distance)


def test_flips_of_signs_find_the_corner_of_an_affine_net() -> None:
    paper = affine(classes=2)
    found = sp.attack("signhunter-min")(paper.net, paper.x, paper.y, ("Linf", None), budget=sp.Budget(queries=400))
    best = paper.optimum(sp.Threat("Linf").norm)
    assert bool((found.distance <= 1.1 * best).all())
    assert bool((found.distance >= best * (1 - 1e-5)).all())


def _mean(distance: Tensor) -> float:
    """The geometric mean over those that the net gets right."""
    return float(distance[distance > 0].log().mean().exp())


def test_it_finds_nothing_where_nothing_is() -> None:
    constant = nn.Sequential(nn.Flatten(), nn.Linear(20, 2)).double().requires_grad_(False)
    constant[1].weight.zero_()
    constant[1].bias.copy_(torch.tensor([1.0, 0.0]))
    paper = affine()
    found = sp.minimum_norm(constant, paper.x, torch.zeros(5, dtype=torch.int64), "L2", sees="score")
    assert not bool(found.success.any())
    assert int(found.queries.max()) <= 320  # three attacks look for a start, a hundred queries each


@pytest.mark.parametrize(
    ("spec", "norm", "expected"),
    [
        ("min-norm-score:attacks=nes", "Linf", "has no field 'queries'"),
        ("min-norm-decision:attacks=cgba", "Linf", "works under L2, not Linf"),
        ("min-norm-score:attacks=square", "Linf", "does not look for the smallest"),
        ("min-norm-decision:attacks=square-min", "L2", "needs score access"),
        ("min-norm-decision:attacks=+", "L2", "names no attack"),
    ],
)
def test_attacks_that_can_take_no_turn_are_named_before_any_query(spec: str, norm: str, expected: str) -> None:
    paper, asked = affine(), []

    def answer(z: Tensor) -> Tensor:
        asked.append(len(z))
        return torch.as_tensor(paper.net(z))

    with pytest.raises(InputError, match=expected):
        sp.attack(spec)(answer, paper.x, paper.y, (norm, None))
    assert sum(asked) <= len(paper.x)  # the clean images, at most


@pytest.mark.parametrize("spec", ["square-min", "signhunter-min"])
@pytest.mark.parametrize("loss", ["ce", "log-odds"])
def test_success_is_the_goals_whatever_loss_rises(spec: str, loss: str) -> None:
    """Cross-entropy is above 0 everywhere: the ball had shrunk with every query."""
    paper = affine()
    near = [
        sp.attack(f"{spec}:queries=400{more}")(paper.net, paper.x, paper.y, ("Linf", None)).distance
        for more in ("", f",loss={loss}")
    ]
    assert bool((near[1] <= 1.2 * near[0]).all())
