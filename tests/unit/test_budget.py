"""Budgets are hard, and what they cut short is said. (The exam holds every attack to them, with hooks.)"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.attack import Attack, AttackInfo
from sparring.bout import Bout
from sparring.budget import Budget
from sparring.errors import InputError
from sparring.losses import cross_entropy
from sparring.norms import Linf
from sparring.testing.fixtures import pair
from sparring.testing.watch import counted


@pytest.mark.parametrize("wrong", [{"queries": 0}, {"passes": 0}, {"gradients": -1}, {"seconds": -0.1}])
def test_budgets_that_allow_no_look_at_all_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match="at least"):
        Budget(**wrong)  # type: ignore[arg-type]


def test_a_budget_is_for_each_sample_not_for_the_batch() -> None:
    paper = pair()
    result = sp.PGD(steps=20)(paper.net, paper.x, paper.y, ("Linf", 1e-4), budget=Budget(queries=7))
    assert result.queries.tolist() == [7] * 5


def test_passes_are_queries_and_gradients_together() -> None:
    paper = pair()
    result = sp.BIM(steps=20)(paper.net, paper.x, paper.y, ("Linf", 1e-4), budget=Budget(passes=8))
    assert (result.queries + result.gradients).tolist() == [7] * 5, "clean, then pairs; half a pair is not begun"


def test_what_was_found_before_the_end_counts() -> None:
    paper = pair()
    eps = float(paper.optimum(Linf).max()) * 3
    result = sp.BIM(steps=20)(paper.net, paper.x, paper.y, ("Linf", eps), budget=Budget(queries=12))
    free = sp.BIM(steps=20)(paper.net, paper.x, paper.y, ("Linf", eps))
    assert bool(result.success.all())
    assert torch.equal(result.distance, free.distance)
    assert result.doubts == ()


def test_a_cut_short_search_is_doubted() -> None:
    paper = pair()
    result = sp.BIM(steps=20)(paper.net, paper.x, paper.y, ("Linf", 1e-4), budget=Budget(gradients=3))
    (doubt,) = result.doubts
    assert doubt.code == "budget-spent"
    assert doubt.message.startswith("5 of 5 samples still standing")


def test_no_time_at_all_is_one_look_at_the_clean_images() -> None:
    paper = pair()
    result = sp.PGD()(paper.net, paper.x, paper.y, ("Linf", 0.3), budget=Budget(seconds=0))
    assert result.queries.tolist() == [1] * 5
    assert torch.equal(result.x_adv, paper.x)


class Uneven(Attack):
    """Shows only the first row again and again through a part of its own, then all rows: they pay differently."""

    def run(self, bout: Bout) -> Tensor | None:
        rows = bout.child(0)
        rows._referee.over[1:] = True
        rows.active()
        for _ in range(3):
            rows.grad(rows.x, cross_entropy)
        bout.grad(bout.x, cross_entropy)
        bout.grad(bout.x, cross_entropy)
        return None


Uneven.info = AttackInfo(
    "uneven", Uneven, "Uneven", "gradient", (Linf,), "budget", ("individual",), ("optimal",), ("untargeted",),
    "gradient", 2024, "none",
)  # fmt: skip


@pytest.mark.parametrize("limit", [Budget(queries=5), Budget(gradients=4), Budget(passes=9)])
def test_rows_that_cannot_pay_are_not_shown_while_others_go_on(limit: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Uneven, "spec", "uneven")
    paper = pair()
    with counted(paper.net) as tally:
        result = Uneven()(paper.net, paper.x, paper.y, ("Linf", 1e-4), budget=limit)
    assert result.queries.tolist() == [5, 3, 3, 3, 3]
    assert result.gradients.tolist() == [4, 2, 2, 2, 2]
    assert tally.forward == int(result.queries.sum())
    assert tally.backward == int(result.gradients.sum())


class TwoAtOnce(Uneven):
    """Asks for two differentiable answers before it differentiates either."""

    def run(self, bout: Bout) -> Tensor | None:
        points = [bout.x.clone().requires_grad_() for _ in range(2)]
        total = sum(cross_entropy(bout.logits(point), bout.goal).sum() for point in points)
        assert isinstance(total, Tensor)
        torch.autograd.grad(total, points)
        return None


def test_a_backward_pass_that_cannot_be_paid_does_not_happen_and_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(TwoAtOnce, "spec", "two")
    paper = pair()
    with counted(paper.net) as tally:
        result = TwoAtOnce()(paper.net, paper.x, paper.y, ("Linf", 1e-4), budget=Budget(gradients=1))
    assert result.queries.tolist() == [3] * 5
    assert result.gradients.tolist() == [1] * 5
    assert tally.backward == 5
    assert tally.forward == 15


def test_the_model_is_left_alone_when_the_budget_ends_the_run() -> None:
    net = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(20), nn.Linear(20, 2)).double()
    paper = pair()
    sp.PGD()(net, paper.x, net.eval()(paper.x).argmax(1), ("Linf", 1e-4), budget=Budget(queries=3))
    assert all(parameter.requires_grad and parameter.grad is None for parameter in net.parameters())
