"""Two audits of the same images, image by image."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sparring.audit.report.compare import compare, listed, markdown
from sparring.audit.report.report import Report
from sparring.audit.statistics.mcnemar import mcnemar, paired_interval
from sparring.errors import InputError

Plain = dict[str, Any]


@pytest.fixture
def a(small_report: Report) -> Plain:
    return small_report.to_dict()


def changed(plain: Plain, statuses: dict[int, str], name: str = "other") -> Plain:
    """A copy in which some images have another fate."""
    plain = copy.deepcopy(plain)
    for index, status in statuses.items():
        plain["samples"][index]["status"] = status
    plain["model"] = {**plain["model"], "name": name, "sha256": "another"}
    plain["standing"] = sum(row["status"] == "standing" for row in plain["samples"])
    plain["initially_correct"] = sum(row["status"] != "wrong" for row in plain["samples"])
    return plain


@given(st.integers(0, 60), st.integers(0, 60))
def test_the_exact_test_is_the_binomial_one(b: int, c: int) -> None:
    expected = stats.binomtest(b, b + c).pvalue if b + c else 1.0
    assert mcnemar(b, c) == pytest.approx(expected)
    assert mcnemar(b, c) == mcnemar(c, b)


def test_the_exact_test_does_not_overflow() -> None:
    assert 0 < mcnemar(4900, 5100) < 0.05
    assert mcnemar(0, 5000) == 0.0  # below the smallest number there is


def test_the_paired_interval() -> None:
    low, high = paired_interval(0, 0, 100)
    assert low == -high < 0  # agreement everywhere is no proof of equality
    assert paired_interval(0, 100, 100)[1] == 1.0
    low, high = paired_interval(5, 20, 100)
    assert low < 0.15 < high
    assert tuple(-end for end in reversed(paired_interval(20, 5, 100))) == (low, high)


def test_a_report_against_itself(a: Plain) -> None:
    found = compare(a, a)
    assert found.robust.difference == 0
    assert found.robust.p == 1
    assert found.robust.regressed == found.robust.improved == ()
    assert not found.regression
    assert "both have the same weights" in found.notes
    assert found.verdict.startswith("No difference")


def test_which_images_changed_sides(a: Plain) -> None:
    standing = [row["index"] for row in a["samples"] if row["status"] == "standing"]
    broken = [row["index"] for row in a["samples"] if row["status"] == "broken"]
    b = changed(a, {standing[0]: "broken", standing[1]: "wrong", broken[0]: "standing"})
    found = compare(a, b)
    assert found.robust.regressed == tuple(standing[:2])
    assert found.robust.improved == (broken[0],)
    assert found.clean.regressed == (standing[1],)
    assert found.robust.b.hits == found.robust.a.hits - 1
    assert sum(lost for lost, _ in found.robust_by_class.values()) == 2
    assert sum(won for _, won in found.robust_by_class.values()) == 1
    assert not found.regression  # three images of 24 prove nothing
    back = compare(b, a)
    assert (back.robust.regressed, back.robust.improved) == (found.robust.improved, found.robust.regressed)


def test_a_regression_beyond_chance(a: Plain) -> None:
    standing = [row["index"] for row in a["samples"] if row["status"] == "standing"]
    assert len(standing) >= 6
    found = compare(a, changed(a, dict.fromkeys(standing, "broken")))
    assert found.robust.worse
    assert found.regression
    assert not found.clean.worse
    assert found.verdict.startswith("B is worse than A by")
    better = compare(changed(a, dict.fromkeys(standing, "broken")), a)
    assert better.robust.better
    assert not better.regression


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"threat": {"norm": "Linf", "eps": 0.1, "box": [0.0, 1.0], "levels": None}}, "different threats: Linf 0.05"),
        ({"threat": {"norm": "Linf", "eps": 0.05, "box": [0.0, 1.0], "levels": 256}}, "256 levels"),
        ({"n": 7}, "different numbers of images: 24 and 7"),
    ],
)
def test_other_conditions_are_refused(a: Plain, change: Plain, words: str) -> None:
    with pytest.raises(InputError) as error:
        compare(a, {**a, **change})
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_other_images_are_refused(a: Plain) -> None:
    other = {**a, "data": {**a["data"], "sha256": "0" * 64}}
    with pytest.raises(InputError, match="different images: sha256"):
        compare(a, other)
    renumbered = {**a, "samples": [{**row, "index": row["index"] + 1} for row in a["samples"]]}
    with pytest.raises(InputError, match="tables of samples"):
        compare(a, renumbered)


def test_what_was_done_differently_is_said(a: Plain) -> None:
    found = compare(a, {**a, "suite": "quick", "seed": 3})
    assert any("suites differ, own and quick" in note for note in found.notes)
    assert any("seeds differ" in note for note in found.notes)
    fewer = compare(a, {**a, "attacks": a["attacks"][:1]})
    assert "not the same attacks ran" in fewer.notes


def test_markdown(a: Plain) -> None:
    standing = [row["index"] for row in a["samples"] if row["status"] == "standing"]
    text = markdown(compare(a, changed(a, {standing[0]: "broken"}, name="pipe|net")))
    assert f"Regressed under attack, by number: {standing[0]}" in text
    assert "pipe\\|net" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.count("|") for line in rows}) == 1
    assert listed(tuple(range(50))).endswith("39 and 10 more")


def test_the_interval_excludes_zero_if_and_only_if_the_test_finds_a_difference() -> None:
    """5 against 14 of 100 images: p = 0.064, and Wald's interval alone would be 0.3 to 17.3 points."""
    low, high = paired_interval(5, 14, 100)
    assert low < 0 < high
    for n in (8, 20, 100, 1000):
        for pairs in range(1, min(n, 60) + 1):
            for b in range(pairs + 1):
                low, high = paired_interval(b, pairs - b, n)
                assert (low <= 0 <= high) == (mcnemar(b, pairs - b) >= 0.05), (n, b, pairs - b)
                assert low <= (pairs - 2 * b) / n <= high
