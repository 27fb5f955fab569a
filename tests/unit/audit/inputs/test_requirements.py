"""Requirements: what may be written, what is settled, and that stopping does not depend on who finishes first."""

from __future__ import annotations

from itertools import permutations

import pytest

import sparring as sp
from sparring.audit.inputs.requirements import Requirement, Watch, judge, parse_requirement
from sparring.audit.report.report import Report
from sparring.audit.statistics.proportion import Figure
from sparring.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("robust@0.3 >= 85%", Requirement("robust", 0.85, 0.3)),
        ("robust@8/255>=0.45", Requirement("robust", 0.45, 8 / 255)),
        ("robust ≥ 45 %", Requirement("robust", 0.45)),
        (" clean >= 97 ", Requirement("clean", 0.97)),
        ("clean >= 1", Requirement("clean", 1.0)),
        ("clean >= 1%", Requirement("clean", 0.01)),
    ],
)
def test_forms(text: str, expected: Requirement) -> None:
    parsed = parse_requirement(text)
    assert parsed == expected
    assert parse_requirement(str(parsed)).least == pytest.approx(expected.least)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "robust@EPS >= SHARE"),
        ("robust@0.3 > 85%", "robust@EPS >= SHARE"),
        ("robust@0.3 >= lots", "robust@EPS >= SHARE"),
        ("certified >= 5%", "robust@EPS >= SHARE"),
        ("robust@0.3 >= 850", "share or a percentage"),
        ("robust@0.3 >= -1", "share or a percentage"),
        ("robust@0.3 >= 1e", "share or a percentage"),
        ("robust@much >= 5%", "not a number"),
        ("robust@0 >= 5%", "radius above 0"),
        ("clean@0.3 >= 5%", "clean >= SHARE"),
    ],
)
def test_refusals_are_one_line(text: str, words: str) -> None:
    with pytest.raises(InputError) as error:
        parse_requirement(text)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_another_radius_is_refused_before_any_work() -> None:
    with pytest.raises(InputError, match=r"about eps 0.2, the audit about eps 0.3"):
        parse_requirement("robust@0.2 >= 5%").at(0.3)
    assert parse_requirement("robust >= 5%").at(0.3).eps == 0.3
    assert parse_requirement("robust@8/255 >= 5%").at(8 / 255).eps == 8 / 255
    with pytest.raises(InputError, match="about eps"):  # no model is asked: this one would fail
        sp.audit(lambda x: None, [], sp.Threat("Linf", 0.3), require=["robust@0.2 >= 5%"])


@pytest.mark.parametrize(
    ("hits", "of", "status"),
    [(198, 200, "met"), (100, 200, "failed"), (176, 200, "not settled"), (3, 3, "not settled"), (0, 10, "failed")],
)
def test_settled_or_not(hits: int, of: int, status: str) -> None:
    judged = judge(parse_requirement("robust >= 85%").at(0.3), Figure(hits, of))
    assert judged.status == status
    assert (judged.more is not None) == (status == "not settled")
    assert (judged.low >= 0.85) == (status == "met")
    assert (judged.high < 0.85) == (status == "failed")
    assert status in str(judged)
    assert "\n" not in str(judged)


def test_words() -> None:
    open_ = judge(parse_requirement("clean >= 85%"), Figure(176, 200))
    assert open_.conclusion.startswith("not settled with 200 images: needs about ")
    assert judge(parse_requirement("clean >= 85%"), Figure(85, 100)).conclusion.endswith("too near the limit for any "
                                                                                        "number of images")  # fmt: skip


def test_the_share_of_these_very_images_is_judged_as_it_is() -> None:
    limit = Requirement("robust", 0.85, 0.3, counted=True)
    assert judge(limit, Figure(17, 20)).met
    assert judge(limit, Figure(16, 20)).status == "failed"
    assert "not met" in str(judge(limit, Figure(16, 20)))


def test_stopping_counts_the_same_shards_whoever_finishes_first() -> None:
    """Five shards of forty images; the first three settle it, so the others never count."""
    limit = parse_requirement("robust >= 70%").at(0.3)
    shards = [([True] * 40, [True] * 38 + [False] * 2)] * 2 + [([True] * 40, [False] * 40)] * 3
    seen = set()
    for order in permutations(range(5)):
        watch = Watch([limit])
        stops = [watch.feed(shard, *shards[shard]) for shard in order]
        (judged,) = watch.judged
        seen.add((watch.counted, judged.status, judged.figure))
        assert stops[-1]
        assert stops == sorted(stops)  # once settled it stays so
    assert seen == {(1, "met", Figure(38, 40))}


def test_one_failure_is_enough_to_stop_but_all_must_be_met() -> None:
    both = [parse_requirement("clean >= 50%"), parse_requirement("robust >= 90%").at(0.3)]
    failing = Watch(both)
    assert failing.feed(0, [True] * 30, [False] * 30)
    unsettled = Watch(both)
    assert not unsettled.feed(0, [True] * 30, [True] * 28 + [False] * 2)
    assert [one.status for one in unsettled.judged] == ["met", "not settled"]
    assert not Watch([]).feed(0, [True], [True])
    assert not Watch([Requirement("robust", 0.5, 0.3, counted=True)]).feed(0, [True] * 99, [True] * 99)


def test_the_report_carries_them(small_report: Report) -> None:
    assert not small_report.met
    robust, clean = small_report.to_dict()["requirements"]
    assert (robust["status"], clean["status"]) == ("failed", "met")
    assert (robust["hits"], robust["of"]) == (small_report.robust.hits, small_report.n)
    assert robust["line"] in str(small_report)
    more = small_report.requiring(["robust >= 1%"])
    assert len(more.requirements) == 3
    assert more.requirements[:2] == small_report.requirements
