"""Sparse-RS: the schedule of the reference code, sets of exactly k pixels, and real digits against random pixels."""

from __future__ import annotations

import pytest

import sparring as sp
from sparring.blocks.swaps import swap_count


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 60), (1, 30), (50, 30), (51, 15), (201, 12), (501, 10), (1001, 7), (9999, 3)]
)
def test_the_schedule_is_that_of_the_reference_code(step: int, expected: int) -> None:
    assert swap_count(200, 0.3, step / 10000) == expected
    assert swap_count(2, 0.3, step / 10000) == 1


def test_all_digits_fall_to_twenty_pixels_in_a_thousand_queries() -> None:
    """As the authors' code does on a like net; random sets and colours of twenty pixels do not."""
    x, y = sp.load_data("mnist5k", n=10).tensors()
    net = sp.load_model("mnist-cnn")
    result = sp.attack("sparse-rs:queries=1000")(net, x, y, sp.Threat("L0", 20))
    assert int(result.success.sum()) >= 9
    assert float(result.queries.float().mean()) <= 500
    assert int((result.x_adv != x).flatten(1).sum(1).max()) <= 20
    random = sp.attack("one-pixel:population=500,generations=1")(net, x, y, sp.Threat("L0", 20))
    assert int(random.success.sum()) <= 3
