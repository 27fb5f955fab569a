"""The verdict as a table of cases."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sparring.audit.checks.registry import CAUSES
from sparring.audit.checks.run import known
from sparring.audit.checks.verdict import Alone, Facts, judge
from sparring.audit.inputs.claims import Checked, Claim
from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt

N = 500
MARGIN = Alone("PGD-40 (margin)", Figure(2, 100), "logits")
SQUARE = Alone("Square", Figure(1, 100), "scores")
CE = Alone("PGD-40", Figure(95, 100), "cross-entropy")
LOST = Alone("PGD-40 (margin)", Figure(95, 100), "logits")


def facts(
    claimed: float | None,
    survive: float,
    *codes: str,
    reproduced: float | None = None,
    by: str | None = "APGD-CE",
    clean: float = 0.98,
    clean_claim: float | None = None,
    alone: Sequence[Alone] = (),
) -> Facts:
    robust = Figure(round(survive * N), N)
    claims = []
    if claimed is not None:
        again = None if reproduced is None else Figure(round(reproduced * N), N)
        attack = None if reproduced is None else "fgsm"
        claims.append(Checked(Claim(claimed, 0.3, attack), 0.3, robust, by, again))
    if clean_claim is not None:
        claims.append(Checked(Claim(clean_claim, 0.0), 0.0, Figure(round(clean * N), N)))
    doubts = tuple(Doubt(code, f"{code} was seen", 0.95) for code in codes)
    return Facts("Linf 0.3", Figure(round(clean * N), N), robust, tuple(claims), doubts, alone)


@pytest.mark.parametrize(
    ("case", "status", "cause", "words"),
    [
        (
            facts(0.90, 0.90),
            "claim-holds",
            None,
            ["The claim of 90.0 % holds within this budget. No attack within this budget"],
        ),
        (facts(0.91, 0.89), "claim-holds", None, ["holds"]),  # inside the interval of 500 images
        (facts(0.80, 0.90), "claim-holds", None, ["leaves less than 90.0 %"]),
        (
            facts(0.94, 0.90, reproduced=0.94),
            "overestimated",
            None,
            ["the attack behind the claim was too weak.", "APGD-CE breaks most of the images that it leaves."],
        ),
        (facts(0.50, 0.00, reproduced=0.50), "overestimated", None, ["too weak"]),
        (facts(0.50, 0.00, reproduced=0.20), "overestimated", None, ["FGSM itself leaves only 20.0 %"]),
        (facts(0.995, 0.90, clean=0.95), "overestimated", None, ["clean accuracy alone is 95.0 %"]),
        (facts(0.90, 0.00, "rounding"), "overestimated", None, ["survive"]),
        (
            facts(0.90, 0.90, "zero-gradients"),
            "inconclusive",
            "zero-gradients",
            ["cannot confirm the claim of 90.0 %", "signs of gradient masking"],
        ),
        (facts(0.93, 0.89, "zero-gradients"), "overestimated", None, []),  # 4 points do not make masking
        (
            facts(0.90, 0.00, "zero-gradients"),
            "gradient-masking",
            "zero-gradients",
            ["because the gradients are zero. This is gradient masking."],
        ),
        (
            facts(None, 0.90),
            "no-claim",
            None,
            ["Robust accuracy is at most 90.0 %. No attack within this budget breaks more than 50 of 500"],
        ),
        (facts(None, 0.00), "no-claim", None, ["Robust accuracy is 0.0 %. 0 of 500 images survive"]),
        (
            facts(None, 0.90, "black-box-beats-white-box"),
            "gradient-masking",
            "black-box-beats-white-box",
            ["far lower"],
        ),
        (facts(None, 0.90, "rounding", "few-classes"), "no-claim", None, []),
    ],
)
def test_cases(case: Facts, status: str, cause: str | None, words: list[str]) -> None:
    verdict = judge(case)
    assert (verdict.status, verdict.cause) == (status, cause)
    for word in words:
        assert word in verdict.text


def test_the_best_known_case() -> None:
    case = facts(0.88, 0.0, "loss-saturation", "budget-not-used", reproduced=0.88, alone=[CE, MARGIN, SQUARE])
    assert judge(case).text == (
        "Robust accuracy is 0.0 %, not 88.0 %: FGSM failed because the softmax is saturated. This is gradient masking. "
        "0 of 500 images survive Linf 0.3 (95 % interval 0.0 to 0.8 %). Measured: zero cross-entropy gradients "
        "for 95.0 % of the images. The remedy is a margin or DLR loss, or no gradients: PGD-40 (margin) alone leaves 2 "
        "of 100 images, Square alone leaves at most 1 of 100 images."
    )


def test_the_remedy_for_other_causes_is_to_do_without_gradients() -> None:
    sentence = judge(facts(0.9, 0.01, "zero-gradients", alone=[CE, LOST, SQUARE])).text
    assert "an attack without gradients: Square alone leaves at most 1 of 100 images" in sentence
    assert "margin" not in sentence


@pytest.mark.parametrize("left", [96, 80])
def test_no_remedy_is_named_that_does_not_help_much(left: int) -> None:
    weak = Alone("Square", Figure(left, 100), "scores")
    assert "remedy" not in judge(facts(0.9, 0.01, "zero-gradients", alone=[CE, LOST, weak])).text


@pytest.mark.parametrize(("claimed", "status"), [(None, "inconclusive"), (0.9, "overestimated")])
def test_a_sign_on_few_images_explains_no_large_gap(claimed: float | None, status: str) -> None:
    case = facts(claimed, 0.5)
    few = Doubt("black-box-beats-white-box", "3 of 60", 0.05)
    verdict = judge(Facts(case.threat, case.clean, case.robust, case.claims, (few,)))
    assert verdict.status == status
    assert ("signs of gradient masking" in verdict.text) == (status == "inconclusive")


def test_what_makes_the_claim_ill_defined_is_said() -> None:
    sentence = judge(facts(0.88, 0.0, "train-mode", "loss-saturation", clean=0.91, clean_claim=0.97)).text
    assert sentence.endswith("The model came in train mode. Clean accuracy was claimed as 97.0 %; it is 91.0 %.")


def test_the_most_overstated_of_several_claims_is_judged() -> None:
    good, bad = facts(0.90, 0.90), facts(0.99, 0.50, reproduced=0.99)
    both = Facts("Linf 0.3", good.clean, bad.robust, (*good.claims, *bad.claims))
    assert judge(both).status == "overestimated"


@pytest.mark.parametrize("code", CAUSES)
def test_every_severe_doubt_has_words_for_its_cause(code: str) -> None:
    assert known(code).cause
    assert judge(facts(0.9, 0.1, code)).cause == code


@pytest.mark.parametrize("survive", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("claimed", [None, 0.5, 1.0])
@pytest.mark.parametrize("code", ["loss-saturation", "not-monotone", None])
def test_a_short_headline_and_no_promise(survive: float, claimed: float | None, code: str | None) -> None:
    verdict = judge(facts(claimed, survive, *([code] if code else []), alone=[MARGIN, SQUARE], clean=1.0))
    assert len(verdict.headline) < 130
    assert all(sentence.endswith(".") for sentence in (verdict.headline, *verdict.evidence))
    assert "is robust" not in verdict.text


def counted(hits: int, of: int, *claims: float, clean: Figure | None = None, clean_claim: float | None = None) -> Facts:
    """Claims about a model of which `hits` of `of` images survive."""
    found = [Checked(Claim(each, 0.3), 0.3, Figure(hits, of)) for each in claims]
    clean = clean or Figure(of, of)
    if clean_claim is not None:
        found.append(Checked(Claim(clean_claim, 0.0), 0.0, clean))
    return Facts("Linf 0.3", clean, Figure(hits, of), tuple(found))


@pytest.mark.parametrize(("hits", "of", "claimed"), [(0, 1, 0.5), (0, 3, 0.55), (1, 5, 0.6)])
def test_a_wide_interval_refutes_nothing_that_lies_inside(hits: int, of: int, claimed: float) -> None:
    verdict = judge(counted(hits, of, claimed))
    assert (verdict.status, verdict.cause) == ("inconclusive", None)
    assert "oo few images to tell" in verdict.headline
    assert judge(counted(hits, of, 0.97)).status == "overestimated", "the interval ends below"
    assert judge(counted(100 * hits, 100 * of, claimed)).status == "overestimated", "it is narrow"


def test_a_claim_that_is_refuted_is_not_hidden_by_one_that_is_left_open() -> None:
    left_open = Checked(Claim(0.5, 0.3), 0.3, Figure(0, 3))
    refuted = Checked(Claim(0.85, 0.2), 0.2, Figure(1, 3))
    assert left_open.gap - left_open.tolerance > refuted.gap - refuted.tolerance
    verdict = judge(Facts("Linf 0.3", Figure(3, 3), Figure(0, 3), (left_open, refuted)))
    assert (verdict.status, verdict.cause) == ("overestimated", None)
    assert "too few images to tell" in verdict.text


@pytest.mark.parametrize(("hits", "of", "claimed"), [(4, 6, 0.9), (2, 3, 0.99), (22, 24, 0.99), (2, 3, 0.6)])
def test_a_wide_interval_confirms_nothing(hits: int, of: int, claimed: float) -> None:
    verdict = judge(counted(hits, of, claimed))
    assert (verdict.status, verdict.cause) == ("inconclusive", None)
    assert "oo few images to tell" in verdict.headline


@pytest.mark.parametrize(("hits", "of", "claimed"), [(6, 6, 0.5), (20, 20, 0.9), (56, 60, 0.885)])
def test_a_claim_holds_where_the_interval_is_narrow_or_above_it(hits: int, of: int, claimed: float) -> None:
    assert judge(counted(hits, of, claimed)).status == "claim-holds"


def test_each_claim_is_answered_by_itself() -> None:
    verdict = judge(counted(450, 500, 0.95, 0.9, 0.5))
    assert verdict.status == "overestimated"
    assert "The claim of 90.0 % at Linf 0.3 holds within this budget." in verdict.text
    assert "The claim of 50.0 % at Linf 0.3 holds within this budget. It is low: 90.0 % survive." in verdict.text
    assert "The claims of 95.0 % and 50.0 % contradict each other." in verdict.text


def test_contradictory_claims_do_not_hold_together() -> None:
    both = judge(counted(455, 500, 0.9, 0.1, clean_claim=0.5))
    assert both.status == "inconclusive"
    assert "contradict" in both.headline
    assert "Clean accuracy was claimed as 50.0 %; it is 100.0 %." in both.evidence
    clean = judge(counted(455, 500, 0.9, clean_claim=0.5))
    assert (clean.status, "not all claims do" in clean.headline) == ("inconclusive", True)
    fine = judge(counted(455, 500, 0.9, clean_claim=1.0))
    assert fine.status == "claim-holds"
    assert "The clean accuracy of 100.0 % agrees with the claimed 100.0 %." in fine.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Claim(0.9, 0.3, "fgsm"), Claim(0.1, 0.3, "FGSM")),
        (Claim(0.9, 0.3, "pgd"), Claim(0.1, 0.3, "pgd:steps=40")),
        (Claim(0.9, 0.3, "pgd:steps=40,loss=margin"), Claim(0.1, 0.3, "pgd:loss=margin,steps=40")),
        (Claim(0.9, 0.3, "fgsm"), Claim(0.1, 0.3 + 1e-9, "fgsm")),
        (Claim(0.9, 0.0), Claim(0.1, 0.0)),
    ],
)
def test_claims_of_the_same_contradict_each_other_however_they_are_written(one: Claim, other: Claim) -> None:
    robust = Figure(455, 500)
    found = tuple(Checked(each, each.eps or 0.0, robust) for each in (one, other))
    verdict = judge(Facts("Linf 0.3", robust, robust, found))
    assert "The claims of 90.0 % and 10.0 % contradict each other." in verdict.text


def test_claims_of_different_attacks_or_radii_do_not() -> None:
    robust = Figure(455, 500)
    claims = (Claim(0.9, 0.3, "pgd"), Claim(0.1, 0.3, "pgd:steps=39"), Claim(0.1, 0.4, "pgd"), Claim(0.1, 0.3))
    found = tuple(Checked(each, each.eps or 0.0, robust) for each in claims)
    assert "contradict" not in judge(Facts("Linf 0.3", robust, robust, found)).text
