"""Nets that withstand climbs at a fixed radius fall to searches for the nearest point, under L0 to random search."""

from __future__ import annotations

import pytest

import sparring as sp
from sparring.audit.suites.builtin import SUITES


@pytest.mark.parametrize(
    ("norm", "eps", "climb", "search"),
    [
        ("L2", 1.5, "apgd-dlr:steps=50", "ddn:steps=100"),
        ("L1", 5.0, "pgd:loss=margin", "fmn:steps=200"),
        ("L0", 15.0, "fgsm", "sigma-zero:steps=100"),
    ],
)
def test_climbs_miss_what_a_search_for_the_nearest_point_finds(norm: str, eps: float, climb: str, search: str) -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat(norm, eps)
    x, y = sp.load_data("mnist5k", n=24).tensors()
    assert sp.attack(climb)(model, x, y, threat).robust_accuracy() > 0.8
    assert sp.attack(search)(model, x, y, threat).robust_accuracy() < 0.5


@pytest.mark.parametrize(("norm", "search"), [("L0", "sigma-zero"), ("L1", "fmn"), ("L2", "ddn")])
@pytest.mark.parametrize("name", ["quick", "standard", "full"])
def test_suites_have_such_a_search_where_it_is_the_best(name: str, norm: str, search: str) -> None:
    model = sp.load_model("mnist-cnn-fast")
    found = {one.spec.partition(":")[0]: one for one in reversed(SUITES[name].fit(model, sp.Threat(norm, 1.0))[0])}
    assert found[search].full_on_subset
    assert found[search].min_progress is None
    assert not found.keys() & ({"ddn", "fmn", "sigma-zero"} - {search})
    assert ("sparse-rs" in found) == (norm == "L0")
    assert ("brendel-bethge" in found) == (norm in ("L0", "L1"))
    assert norm != "L2" or found["fab"].min_progress is None


@pytest.mark.long
@pytest.mark.parametrize(("norm", "eps", "search"), [("L0", 8.0, "sigma-zero:steps=300"), ("L1", 3.0, "fmn:steps=100")])
def test_a_walk_along_the_boundary_breaks_what_searches_from_the_image_miss(norm: str, eps: float, search: str) -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat(norm, eps)
    x, y = sp.load_data("mnist5k", n=24).tensors()
    walk, other = (sp.attack(spec)(model, x, y, threat).success for spec in ("brendel-bethge", search))
    assert int((walk & ~other).sum()) >= 3


@pytest.mark.long
@pytest.mark.parametrize(
    ("norm", "eps"),
    [("Linf", 0.3), ("L2", 1.0), ("L2", 1.5), ("L1", 5.0), ("L1", 8.0), ("L0", 8.0), ("L0", 15.0)],
)
def test_the_suite_leaves_no_more_than_the_search_for_the_least_perturbation(norm: str, eps: float) -> None:
    model, (x, y) = sp.load_model("mnist-cnn-fast"), sp.load_data("mnist5k", n=16).tensors()
    report = sp.audit(model, (x, y), (norm, eps), suite="quick")
    left = int((sp.minimum_norm(model, x, y, norm).distance > eps).sum())
    assert round(report.robust_accuracy * len(x)) <= left + 1
    assert report.status == "no-claim", report.verdict
