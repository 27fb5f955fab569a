"""Candidates asked together are counted, judged and paid for as if they had been asked one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.budget import Budget
from sparring.errors import AccessError
from sparring.losses import margin
from sparring.norms import L0, L1, L2, Linf
from sparring.referee import Keep
from sparring.result import PER_SAMPLE
from sparring.testing.fixtures import Changed, curved
from sparring.testing.watch import counted
from sparring.threat import Targeted


def searching(run: Callable[[Bout], Tensor | None], sees: str = "score") -> Attack:
    """An attack that is the function `run`, in no register."""
    columns: Any = {"title": "S", "sees": sees, "norms": (L0, L1, L2, Linf), "aim": "both", "paper": "none"}
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("searching", year=2024, **columns)(type("S", (Attack,), {"run": lambda self, bout: run(bout)}))
    attack: Attack = made()
    return attack


def draw(bout: Bout, count: int) -> Tensor:
    """Points around the images, some of them off the ball."""
    spread = 0.6 * (bout.noise.uniform(count, *bout.x.shape[1:], dtype=bout.x.dtype) - 0.5)
    return (bout.x[:, None] + spread).clamp(0, 1)


def together(count: int, rounds: int = 3) -> Attack:
    def run(bout: Bout) -> None:
        for _ in range(rounds):
            bout.candidates(draw(bout, count))
            bout.active()
            if not len(bout):
                return

    return searching(run)


def one_by_one(count: int, rounds: int = 3) -> Attack:
    def run(bout: Bout) -> None:
        for _ in range(rounds):
            z = draw(bout, count)
            for j in range(count):
                bout.logits(z[:, j])
            bout.active()
            if not len(bout):
                return

    return searching(run)


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("eps", [0.2, 0.25, 0.3, None])
def test_together_is_one_by_one(keep: Keep, trace: bool, eps: float | None) -> None:
    paper = curved(count=8)
    goals = (paper.y, Targeted((paper.y + 1) % 4, paper.y))
    for goal in goals:
        a, b = (
            attack(paper.net, paper.x, goal, ("Linf", eps), keep=keep, trace=trace)
            for attack in (together(7), one_by_one(7))
        )
        for name in PER_SAMPLE:
            left, right = getattr(a, name), getattr(b, name)
            assert torch.allclose(left.double(), right.double(), atol=1e-9), name
        if trace:
            assert a.trace is not None
            assert b.trace is not None
            assert torch.equal(a.trace.query, b.trace.query)
            assert torch.allclose(a.trace.distance, b.trace.distance, equal_nan=True)


@pytest.mark.parametrize("limit", [None, 9])
@pytest.mark.parametrize("keep", get_args(Keep))
def test_only_what_is_wanted_is_asked(keep: Keep, limit: int | None) -> None:
    paper = curved(count=8)

    def wanted(bout: Bout) -> Tensor:
        return bout.noise.uniform(7) < 0.4

    def run(bout: Bout) -> None:
        for _ in range(5):
            z, ask = draw(bout, 7), wanted(bout)
            answers = bout.candidates(z, ask)
            assert bool((answers == bout.clean_logits[:, None])[~ask].all())
            bout.active()
            if not len(bout):
                return

    def alone(bout: Bout) -> None:
        for _ in range(5):
            z, ask = draw(bout, 7), wanted(bout)
            for j in range(7):
                if bool(ask[0, j]):
                    bout.logits(z[:, j])
            bout.active()
            if not len(bout):
                return

    budget = Budget(queries=limit)
    with counted(paper.net) as tally:
        result = searching(run)(paper.net, paper.x, paper.y, ("Linf", 0.25), keep=keep, budget=budget)
    assert int(result.queries.sum()) == tally.forward
    for i in range(8):
        single = searching(alone)(
            paper.net, paper.x[i : i + 1], paper.y[i : i + 1], ("Linf", 0.25), keep=keep, budget=budget
        )
        for name in PER_SAMPLE:
            left, right = getattr(result, name)[i : i + 1], getattr(single, name)
            assert torch.allclose(left.double(), right.double(), atol=1e-9), name


def test_the_comparison_sees_hits_and_misses() -> None:
    paper = curved(count=8)
    success = together(7)(paper.net, paper.x, paper.y, ("Linf", 0.25)).success
    assert 0 < int(success.sum()) < 8


def test_logits_and_losses_belong_to_their_candidates() -> None:
    paper = curved()

    def run(bout: Bout) -> None:
        z = draw(bout, 3)
        logits = bout.candidates(z)
        assert logits.shape == (5, 3, 4)
        losses = bout.candidate_losses(z, margin)
        for j in range(3):
            asked = bout.logits(z[:, j])
            assert torch.allclose(logits[:, j], asked)
            assert torch.allclose(losses[:, j], bout.goal.margin(asked))

    searching(run)(paper.net, paper.x, paper.y, ("Linf", 1e-6))


@pytest.mark.parametrize("limit", range(1, 9))
def test_a_budget_that_affords_some_pays_for_the_first_ones(limit: int) -> None:
    paper = curved()
    seen: list[Tensor] = []

    def run(bout: Bout) -> None:
        for _ in range(4):
            logits = bout.candidates(draw(bout, 3))
            seen.append((logits != bout.clean_logits[:, None]).any(2))
            bout.active()
            if not len(bout):
                return

    for budget in (Budget(queries=limit), Budget(passes=limit)):
        seen.clear()
        with counted(paper.net) as tally:
            result = searching(run)(paper.net, paper.x, paper.y, ("Linf", 1e-6), budget=budget)
        assert result.queries.tolist() == [limit] * 5
        assert tally.forward == 5 * limit
        assert [int(asked[0].sum()) for asked in seen] == [3] * ((limit - 1) // 3) + [(limit - 1) % 3] * (
            (limit - 1) % 3 > 0
        )
        assert "budget-spent" in [doubt.code for doubt in result.doubts]


def test_no_time_means_no_query() -> None:
    paper = curved()
    result = together(3)(paper.net, paper.x, paper.y, ("Linf", 0.1), budget=Budget(seconds=0))
    assert result.queries.tolist() == [1] * 5


def test_large_packs_are_cut_and_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    paper = curved()
    largest: list[int] = []

    def watch(x: Tensor) -> Tensor:
        largest.append(len(x))
        return x

    results = []
    for pack in (2**21, 20 * 7):
        monkeypatch.setattr("sparring.bout.PACK_ON_CPU", pack)
        largest.clear()
        results.append(together(9)(Changed(paper.net, before=watch), paper.x, paper.y, ("Linf", 0.25)))
        assert max(largest) == (45 if pack == 2**21 else 7)
    assert torch.allclose(results[0].x_adv, results[1].x_adv)
    assert torch.equal(results[0].first_hit, results[1].first_hit)


def test_nan_is_never_a_success_and_leaves_a_doubt() -> None:
    paper = curved()
    net = Changed(paper.net, after=lambda z, x: z if len(x) == 5 else z * torch.nan)  # the clean images are 5
    result = together(4)(net, paper.x, paper.y, ("Linf", None))
    assert not bool(result.success.any())
    assert "non-finite" in [doubt.code for doubt in result.doubts]


def test_points_are_shown_on_the_grid_and_inside_the_region() -> None:
    paper = curved()
    x = (paper.x * 255).round() / 255
    free = torch.zeros(paper.x.shape[1:], dtype=torch.bool)
    free[..., :2] = True
    shown: list[Tensor] = []
    net = Changed(paper.net, before=lambda z: shown.append(z) or z)  # type: ignore[func-returns-value]
    threat = sp.Threat("Linf", 0.2, levels=256, region=free)
    together(4)(net, x, paper.y, threat)
    points = torch.cat(shown)
    assert torch.allclose(points * 255, (points * 255).round(), atol=1e-6)
    held = points[5:25].reshape(5, 4, *x.shape[1:])
    assert torch.equal(held[..., 2:], x[:, None, ..., 2:].expand_as(held[..., 2:]))


def test_scores_are_needed() -> None:
    paper = curved()
    with pytest.raises(AccessError, match="the attack may only see: decision"):
        searching(lambda bout: bout.candidates(bout.x[:, None]) and None, sees="decision")(
            paper.net, paper.x, paper.y, ("Linf", 0.1)
        )


def test_no_candidates_cost_nothing() -> None:
    paper = curved()

    def run(bout: Bout) -> None:
        assert bout.candidates(bout.x[:, None][:, :0]).shape == (5, 0, 4)

    result = searching(run)(paper.net, paper.x, paper.y, ("Linf", 0.1))
    assert result.queries.tolist() == [1] * 5


def test_training_examples_are_crafted_without_judging() -> None:
    paper = curved()

    def run(bout: Bout) -> Tensor:
        z = draw(bout, 3)
        assert bout.candidates(z).shape == (5, 3, 4)
        return z[:, 0]

    assert searching(run).craft(paper.net, paper.x, paper.y, ("Linf", 0.1)).shape == paper.x.shape
