"""Candidates asked together are counted, judged and paid for as if they had been asked one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack
from sparring.bout import Bout
from sparring.budget import Budget
from sparring.referee import Keep
from sparring.result import PER_SAMPLE
from sparring.testing.fixtures import Changed, curved
from sparring.testing.watch import counted

COUNT = 7
Searching = Callable[..., Attack]


def draw(bout: Bout) -> Tensor:
    """Points around the images, some of them off the ball."""
    spread = 0.7 * (bout.noise.uniform(COUNT, *bout.x.shape[1:], dtype=bout.x.dtype) - 0.5)
    return (bout.x[:, None] + spread).clamp(0, 1)


def together(bout: Bout) -> None:
    for _ in range(3):
        bout.fooled_many(draw(bout))
        bout.active()
        if not len(bout):
            return


def one_by_one(bout: Bout) -> None:
    for _ in range(3):
        z = draw(bout)
        for j in range(COUNT):
            bout.fooled(z[:, j])
        bout.active()
        if not len(bout):
            return


@pytest.mark.parametrize("keep", get_args(Keep))
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("eps", [0.3, 0.34, None])
@pytest.mark.parametrize("sees", ["decision", "score"])
def test_together_is_one_by_one(keep: Keep, trace: bool, eps: float | None, sees: str, searching: Searching) -> None:
    paper = curved(count=8)
    for goal in (sp.Untargeted(paper.y), sp.Targeted((paper.y + 1) % 4, paper.y)):
        a, b = (
            searching(run, sees)(paper.net, paper.x, goal, ("Linf", eps), keep=keep, trace=trace)
            for run in (together, one_by_one)
        )
        assert bool(b.success.any()) or keep == "last"
        for name in PER_SAMPLE:
            left, right = getattr(a, name).double(), getattr(b, name).double()
            assert torch.allclose(left, right, atol=1e-9, equal_nan=True), name
        if trace:
            assert a.trace is not None
            assert b.trace is not None
            assert torch.equal(a.trace.query, b.trace.query)
            assert torch.allclose(a.trace.distance, b.trace.distance, equal_nan=True)


@pytest.mark.parametrize("limit", [1, 2, 5, 9, 20])
def test_a_budget_that_reaches_for_some_pays_for_those(limit: int, searching: Searching) -> None:
    paper = curved()
    with counted(paper.net) as tally:
        result = searching(together)(paper.net, paper.x, paper.y, ("Linf", None), budget=Budget(queries=limit))
    assert result.queries.tolist() == [limit] * len(paper)
    assert tally.forward == limit * len(paper)
    assert "budget-spent" in [doubt.code for doubt in result.doubts] or bool(result.success.all())


def test_a_share_of_passes_is_kept_to_the_last_query(searching: Searching) -> None:
    paper = curved()

    def run(bout: Bout) -> None:
        part = bout.child(0, passes=10)
        together(part)
        assert len(part) == 0

    result = searching(run)(paper.net, paper.x, paper.y, ("Linf", None))
    assert result.queries.tolist() == [11] * len(paper)


def test_what_is_not_wanted_costs_nothing_and_is_not_fooled(searching: Searching) -> None:
    paper = curved()
    seen: list[Tensor] = []

    def run(bout: Bout) -> None:
        wanted = torch.arange(COUNT) < torch.arange(len(bout))[:, None]
        hits = bout.fooled_many(draw(bout), wanted)
        assert not bool(hits[~wanted].any())
        seen.append(hits)
        everything = bout.fooled_many(draw(bout), torch.zeros_like(wanted))
        assert not bool(everything.any())

    result = searching(run)(paper.net, paper.x, paper.y, ("Linf", None))
    assert bool(seen[0].any())
    assert result.queries.tolist() == [1 + k for k in range(len(paper))]


def test_rows_that_are_done_ask_nothing_more(searching: Searching) -> None:
    paper = curved()

    def run(bout: Bout) -> None:
        for _ in range(2):
            bout.fooled_many((paper.x.flip(0)[:, None]).expand(-1, 2, *paper.x.shape[1:]))

    result = searching(run)(paper.net, paper.x, paper.y, ("Linf", 1.0))
    assert bool(result.success.any())
    assert result.queries[result.success].tolist() == [3] * int(result.success.sum())


def test_a_broken_answer_is_no_success_and_a_doubt(searching: Searching) -> None:
    paper = curved()

    def ok_first(z: Tensor, x: Tensor) -> Tensor:
        clean = (x.flatten(1)[:, None] - paper.x.flatten(1)[None]).abs().amax(2).amin(1, keepdim=True) < 1e-9
        return torch.where(clean, z, torch.nan)

    net = Changed(paper.net, after=ok_first)
    result = searching(together)(net, paper.x, paper.y, ("Linf", None))
    assert not bool(result.success.any())
    assert "non-finite" in [doubt.code for doubt in result.doubts]
