"""Under L2, nets that withstand climbs at a fixed radius fall to a search for the nearest point: suites need both."""

from __future__ import annotations

import pytest

import sparring as sp
from sparring.audit.suites.builtin import SUITES


def test_climbs_at_a_fixed_radius_miss_what_a_search_for_the_nearest_point_finds() -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat("L2", 1.5)
    x, y = sp.load_data("mnist5k", n=24).tensors()
    climbed = sp.attack("apgd-dlr:steps=50")(model, x, y, threat).robust_accuracy()
    nearest = sp.attack("ddn:steps=100")(model, x, y, threat).robust_accuracy()
    assert climbed > 0.8
    assert nearest < 0.5


@pytest.mark.parametrize("name", ["quick", "standard", "full"])
def test_suites_have_such_a_search(name: str) -> None:
    found = {stage.spec.partition(":")[0]: stage for stage in SUITES[name].stages}
    assert found["ddn"].full_on_subset
    assert found["ddn"].min_progress is None
