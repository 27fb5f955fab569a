"""Wilson intervals against values from the literature and against their own definition."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparring.audit.statistics.proportion import Z95, Figure, percent, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_published_values(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=6e-5), pytest.approx(high, abs=6e-5))


@given(st.integers(1, 5000).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_bounds_are_where_the_normal_test_rejects(pair: tuple[int, int]) -> None:
    hits, of = pair
    low, high = wilson(hits, of)
    assert 0 <= low <= hits / of <= high <= 1
    for bound in (low, high):
        if 0 < bound < 1:
            assert abs(hits / of - bound) / math.sqrt(bound * (1 - bound) / of) == pytest.approx(Z95, rel=1e-6)


def test_nothing_counted() -> None:
    figure = Figure(0, 0)
    assert math.isnan(figure.value)
    assert (figure.low, figure.high) == (0.0, 1.0)
    assert str(figure) == "none counted"
    assert percent(figure.value) == "-"


def test_words() -> None:
    assert str(Figure(1, 4)) == "25.0 % (1 of 4; 95 % interval 4.6 to 69.9 %)"
