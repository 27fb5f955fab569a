"""Optimality from exact areas: what a no-op, the envelope and a single failure must score."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sparring.errors import InputError
from sparring.optimality import optimality

INF = math.inf
BEST = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 4.0], dtype=torch.float64)  # the first is wrong before any attack
NO_OP = torch.tensor([0.0, INF, INF, INF, INF, INF])


def test_the_envelope_scores_1_and_a_no_op_exactly_0() -> None:
    measured = optimality({"best": BEST, "no-op": NO_OP})
    assert measured.scores == {"best": 1.0, "no-op": 0.0}
    assert measured.e0 == 4.0
    assert measured.clean_accuracy == 5 / 6
    assert measured.unbroken == 0
    assert torch.equal(measured.envelope, BEST)


def test_the_area_is_that_below_the_step_function() -> None:
    d = torch.tensor([0.0, 0.7, 1.1, 1.1, 3.0, INF], dtype=torch.float64)
    measured = optimality({"attack": d, "best": BEST})
    grid = torch.linspace(0, measured.e0, 400_001, dtype=torch.float64)
    curve = (d[None] > grid[:, None]).double().mean(1)
    assert measured.areas["attack"] == pytest.approx(float(curve.mean()) * measured.e0, abs=1e-4)
    share = (measured.clean_accuracy * measured.e0 - measured.areas["attack"]) / (
        measured.clean_accuracy * measured.e0 - measured.envelope_area
    )
    assert measured.scores["attack"] == pytest.approx(share, rel=1e-12)


@pytest.mark.parametrize("lost", range(1, 6))
def test_a_failure_costs_what_the_envelope_gains_on_that_sample(lost: int) -> None:
    d = BEST.clone()
    d[lost] = INF
    gains = (4.0 - BEST)[1:]
    score = optimality({"best": BEST, "attack": d}).scores["attack"]
    assert score == pytest.approx(1 - float(gains[lost - 1] / gains.sum()), rel=1e-12)


def test_failures_get_no_half_credit() -> None:
    """The trapezoid from (0, rho) to (e0, 0) would give an attack that breaks nothing half the area; and less to one
    that breaks a little, so that a tiny success would cost."""
    trapezoid = float(np.trapezoid([5 / 6, 0.0], [0.0, 4.0]))
    assert optimality({"best": BEST, "no-op": NO_OP}).areas["no-op"] == pytest.approx(2 * trapezoid)
    barely = torch.tensor([0.0, INF, INF, INF, 3.999, INF])
    assert 0 < optimality({"best": BEST, "barely": barely}).scores["barely"] < 1e-3


def test_a_worse_distance_never_scores_more_and_what_lies_beyond_e0_costs_no_more() -> None:
    source = torch.Generator().manual_seed(0)
    best = torch.rand(50, generator=source) + 0.1
    scores = [optimality({"best": best, "a": best * f}).scores["a"] for f in (1.0, 1.1, 1.5, 3.0, 100.0)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == optimality({"best": best, "a": torch.full((50,), INF)}).scores["a"] == 0


def test_the_envelope_mixes_attacks_and_a_reference_replaces_it() -> None:
    a, b = torch.tensor([1.0, 4.0, INF]), torch.tensor([2.0, 1.0, INF])
    measured = optimality({"a": a, "b": b})
    assert measured.envelope.tolist() == [1.0, 1.0, INF]
    assert (measured.e0, measured.unbroken) == (1.0, 1)
    better = optimality({"a": a}, reference=torch.tensor([2.0, 4.0, 6.0]))
    assert better.e0 == 6.0
    assert better.scores["a"] == pytest.approx((5 + 2 + 0) / (4 + 2 + 0))


def test_an_envelope_without_spread_has_no_score() -> None:
    assert math.isnan(optimality({"a": torch.ones(3)}).scores["a"])
    assert math.isnan(optimality({"a": torch.full((3,), INF)}).scores["a"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "at least one"),
        ({"a": torch.ones(3), "b": torch.ones(4)}, "4 distances, expected 3"),
        ({"a": torch.tensor([-1.0])}, "-1"),
        ({"a": torch.tensor([math.nan])}, "nan"),
        ({"a": torch.ones(2, 2)}, r"shape \(2, 2\)"),
        ({"a": torch.ones(0)}, "no samples"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_line(given: dict[str, torch.Tensor], said: str) -> None:
    with pytest.raises(InputError, match=said) as error:
        optimality(given)
    assert "\n" not in str(error.value)
