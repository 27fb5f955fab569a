"""Under L0 and L2, nets that withstand climbs at a fixed radius fall to a search for the nearest point."""

from __future__ import annotations

import pytest

import sparring as sp
from sparring.audit.suites.builtin import SUITES


@pytest.mark.parametrize(
    ("norm", "eps", "climb", "search"),
    [("L2", 1.5, "apgd-dlr:steps=50", "ddn:steps=100"), ("L0", 15.0, "fgsm", "sigma-zero:steps=100")],
)
def test_climbs_miss_what_a_search_for_the_nearest_point_finds(norm: str, eps: float, climb: str, search: str) -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat(norm, eps)
    x, y = sp.load_data("mnist5k", n=24).tensors()
    assert sp.attack(climb)(model, x, y, threat).robust_accuracy() > 0.8
    assert sp.attack(search)(model, x, y, threat).robust_accuracy() < 0.5


@pytest.mark.parametrize("search", ["ddn", "sigma-zero"])
@pytest.mark.parametrize("name", ["quick", "standard", "full"])
def test_suites_have_such_a_search(name: str, search: str) -> None:
    found = {stage.spec.partition(":")[0]: stage for stage in SUITES[name].stages}
    assert found[search].full_on_subset
    assert found[search].min_progress is None
