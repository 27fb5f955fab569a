"""Requirements: what may be written, what is settled, and that stopping does not depend on who finishes first."""

from __future__ import annotations

import pytest

import sparring as sp
from sparring.audit.inputs.requirements import Requirement, judge, parse_requirement, too_weak
from sparring.audit.report.report import Report
from sparring.audit.statistics.proportion import Figure
from sparring.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("robust@0.3 >= 85%", Requirement("robust", 0.85, 0.3)),
        ("robust@8/255>=0.45", Requirement("robust", 0.45, 8 / 255)),
        ("robust ≥ 45 %", Requirement("robust", 0.45)),
        (" clean >= 97% ", Requirement("clean", 0.97)),
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


def test_the_report_carries_them(small_report: Report) -> None:
    assert not small_report.met
    robust, clean = small_report.to_dict()["requirements"]
    assert (robust["status"], clean["status"]) == ("failed", "met")
    assert (robust["hits"], robust["of"]) == (small_report.robust.hits, small_report.n)
    assert robust["line"] in str(small_report)
    more = small_report.requiring(["robust >= 1%"])
    assert len(more.requirements) == 3
    assert more.requirements[:2] == small_report.requirements


# --- suites that cannot bear one ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attacks", "weak"),
    [
        ([], True),
        ([("single-step", "fgsm"), ("noise", "noise:draws=1000")], True),
        ([("iterative", "pgd:steps=5")], True),
        ([("query", "square:queries=20")], True),
        ([("iterative", "pgd:steps=10")], False),
        ([("single-step", "fgsm"), ("query", "square:queries=100")], False),
    ],
)
def test_a_suite_without_a_search_bears_no_requirement(attacks: list[tuple[str, str]], weak: bool) -> None:
    assert (too_weak(attacks) is not None) == weak


@pytest.mark.long
def test_a_requirement_met_by_fgsm_alone_is_not_met_and_a_severe_doubt() -> None:
    model, data = sp.load_model("mnist-cnn"), sp.load_data("mnist5k", n=40).tensors()
    report = sp.audit(model, data, ("Linf", 0.001), suite=["fgsm"], require=["robust >= 60%", "clean >= 60%"])
    robust, clean = report.requirements
    assert report.robust_accuracy > 0.9
    assert (robust.status, clean.status) == ("not settled", "met")
    assert "no attack searched" in str(robust)
    assert not report.met
    plain = report.to_dict()
    (doubt,) = [one for one in plain["doubts"] if one["code"] == "weak-suite"]
    assert doubt["severe"]
    counted = report.requiring([Requirement("robust", 0.5, counted=True)])
    assert not counted.met, "--fail-under neither"
    failed = report.requiring(["robust >= 100%"]).requirements[-1]
    assert failed.status in ("failed", "not settled")
    strong = sp.audit(model, data, ("Linf", 0.001), suite=["fgsm", "pgd:steps=10"], require=["robust >= 60%"])
    assert strong.met
    assert "weak-suite" not in [one.code for one in strong.doubts]
    assert "weak-suite" not in [one.code for one in sp.audit(model, data, ("Linf", 0.001), suite=["fgsm"]).doubts]
