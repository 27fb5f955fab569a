"""Each check fires on its sign and is silent beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sparring.audit.checks import comparisons as checks
from sparring.audit.checks import signs
from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import Figure

FINE = Probes(
    n=100, training=(), active=False, changed=0.0, gap=8.0, certain=0.1, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=1, top_share=0.12, top_truth=0.11, passes=0,
)  # fmt: skip


def flags(*broken: int, of: int = 100) -> Tensor:
    out = torch.zeros(of, dtype=torch.bool)
    out[list(broken)] = True
    return out


def codes(found: object) -> list[str]:
    return [doubt.code for doubt in found]  # type: ignore[attr-defined]


def test_nothing_is_doubtful_about_a_fine_model() -> None:
    on = checks.OnSubset(flags(1, 2), flags(1, 2, 3), flags(1, 2, 3), flags(1), flags(2))
    found = [
        *signs.gradients(FINE), *signs.budget_used(FINE), *signs.behaviour(FINE, 10), *checks.comparisons(on),
        *checks.monotone([Figure(k, 100) for k in (99, 80, 82, 10, 0)], [0, 1, 2, 3, 4]),
        *checks.unbounded(Figure(0, 100), True, 10, 1.0), *checks.unbounded(Figure(12, 100), False, 10, 0.5),
        *checks.rounding(Figure(2, 100)), *checks.rounding(Figure(0, 0)), *checks.diversity({"iterative", "query"}),
    ]  # fmt: skip
    assert codes(found) == []


@pytest.mark.parametrize(
    ("ce", "margin", "expected"),
    [
        (0.95, 0.0, ["loss-saturation"]),
        (1.0, 1.0, ["zero-gradients"]),
        (0.95, 0.10, ["loss-saturation", "zero-gradients"]),
        (0.02, 0.0, []),  # two images of a hundred
        (0.04, 0.04, []),
        (None, None, []),
    ],
)
def test_gradients(ce: float | None, margin: float | None, expected: list[str]) -> None:
    assert codes(signs.gradients(replace(FINE, flat_ce=ce, flat_margin=margin))) == expected


@pytest.mark.parametrize(
    ("moved", "filled", "fires"), [(0.05, 0.05, True), (1.0, 0.9, True), (0.97, 0.97, True), (0.98, 0.98, False)]
)
def test_budget_used(moved: float, filled: float, fires: bool) -> None:
    assert codes(signs.budget_used(replace(FINE, moved=moved, filled=filled))) == ["budget-not-used"] * fires


def test_the_b_rule() -> None:
    assert checks.beats(flags(1, 2, 3), flags()) == 3
    assert checks.beats(flags(1, 2), flags()) == 0
    assert checks.beats(flags(1, 2, 3, 4), flags(4)) == 3
    assert checks.beats(flags(1, 2, 3, of=400), flags(of=400)) == 0


@pytest.mark.parametrize(
    ("single", "climbing", "gradient", "query", "noise", "expected"),
    [
        (flags(1, 2, 3), flags(), flags(1, 2, 3), flags(), flags(), "single-step-beats-iterative"),
        (flags(), flags(), flags(), flags(1, 2, 3), flags(), "black-box-beats-white-box"),
        (flags(), flags(), flags(), flags(), flags(1, 2, 3), "noise-beats-gradient"),
    ],
)
def test_comparisons(
    single: Tensor, climbing: Tensor, gradient: Tensor, query: Tensor, noise: Tensor, expected: str
) -> None:
    assert codes(checks.comparisons(checks.OnSubset(single, climbing, gradient, query, noise))) == [expected]


def test_comparisons_need_both_sides() -> None:
    assert codes(checks.comparisons(checks.OnSubset(None, flags(), None, flags(1, 2, 3), flags(1, 2, 3)))) == []


def test_monotone_looks_at_all_pairs() -> None:
    raw = [Figure(hits, 100) for hits in (99, 50, 51, 52, 53)]
    (doubt,) = checks.monotone(raw, [0, 0.1, 0.2, 0.3, 0.4])
    assert doubt.code == "not-monotone"
    assert "0.1 to 0.4" in doubt.message
    assert doubt.share == 0.03


def test_unbounded() -> None:
    assert codes(checks.unbounded(Figure(3, 100), True, 10, 1.0)) == ["large-eps-survives"]
    assert codes(checks.unbounded(Figure(30, 100), False, 10, 0.5)) == ["large-eps-survives"]
    assert codes(checks.unbounded(Figure(30, 100), False, 2, 0.5)) == []  # chance


def test_behaviour() -> None:
    odd = replace(FINE, training=("1 (Dropout)",), changed=0.2, top_share=0.9)
    assert codes(signs.behaviour(odd, 3)) == ["train-mode", "random-outputs", "few-classes", "constant-predictor"]
    assert codes(signs.behaviour(replace(FINE, top_share=0.9, top_truth=0.9), 10)) == []


def test_rounding_and_diversity() -> None:
    assert codes(checks.rounding(Figure(5, 100))) == ["rounding"]
    for families in ({"noise", "query"}, {"single-step", "iterative"}):
        assert codes(checks.diversity(families)) == ["few-attacks"]
