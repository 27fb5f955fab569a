"""Each check fires on its sign and is silent beside it; and what the register promises of every check."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from sparring.audit.cascade.curve import Curve, Point
from sparring.audit.checks.comparisons import beats
from sparring.audit.checks.evidence import Evidence, OnSubset
from sparring.audit.checks.registry import CAUSES, CHECKS, Skipped
from sparring.audit.checks.run import early_doubts, run_checks
from sparring.audit.inputs.claims import Checked, Claim
from sparring.audit.probes.gradient_quality import Local
from sparring.audit.probes.probe import Probes
from sparring.audit.statistics.proportion import Figure

FINE = Probes(
    n=100, training=(), active=False, changed=0.0, gap=8.0, certain=0.1, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=1, top_share=0.12, top_truth=0.11, passes=0,
)  # fmt: skip


def flags(*broken: int, of: int = 100) -> Tensor:
    out = torch.zeros(of, dtype=torch.bool)
    out[list(broken)] = True
    return out


def codes(probes: Probes = FINE, classes: int = 10, **more: Any) -> list[str]:
    """The doubts about this evidence, but for that few attacks ran."""
    seen = Evidence(probes, classes, **{"families": frozenset({"iterative", "query"}), **more})
    return [doubt.code for doubt in run_checks(seen).doubts]


def curve(*hits: int, whole_box: bool = True, of: int = 100) -> dict[str, Any]:
    """Evidence of a curve whose raw figures and envelope are these."""
    points = tuple(Point(k / 10, Figure(one, of), Figure(one, of)) for k, one in enumerate(hits))
    return {"curve": Curve("pgd", of, points, 1.0, whole_box, 0), "curve_family": "iterative"}


# --- the register -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CHECKS)
def test_every_check_says_all_that_a_reader_needs(code: str) -> None:
    one = CHECKS[code]
    assert one.title
    assert one.title[0].isupper()
    assert not one.title.endswith(".")
    assert one.means.endswith(".")
    assert one.remedy.endswith(".")
    assert len(one.criterion) > 20, "the docstring states the criterion"
    assert one.severe == (code in CAUSES) == bool(one.cause)
    assert not one.cause[:1].isupper(), "the cause follows 'because'"
    assert not one.cause.endswith(".")


def test_causes_are_severe_checks() -> None:
    assert set(CAUSES) == {code for code, one in CHECKS.items() if one.severe}


@pytest.mark.parametrize("code", CHECKS)
def test_a_check_without_evidence_finds_nothing(code: str) -> None:
    outcome = CHECKS[code].run(Evidence(FINE, 10, families=frozenset({"iterative", "query"})))
    assert isinstance(outcome, Skipped) or outcome == ()


def test_what_did_not_run_is_not_in_order() -> None:
    blind = replace(FINE, flat_ce=None, flat_margin=None, moved=None, filled=None)
    said = run_checks(Evidence(blind, 10)).in_order
    assert not any("gradients" in text for text in said)
    assert CHECKS["random-outputs"].fine in said
    assert "The gradients of the logits are not zero" in run_checks(Evidence(FINE, 10)).in_order


@pytest.mark.parametrize(
    ("seen", "says", "not_said"),
    [
        (replace(FINE, flat_margin=0.04), "zero for only 4.0 % of the images", "logits are not zero"),
        (replace(FINE, moved=0.995), "FGSM leaves only 0.5 % of the images short", "use the whole budget"),
    ],
)
def test_below_the_threshold_is_not_nothing(seen: Probes, says: str, not_said: str) -> None:
    said = " ; ".join(run_checks(Evidence(seen, 10)).in_order)
    assert says in said
    assert not_said not in said


def test_a_few_successes_are_counted_where_nothing_is_doubted() -> None:
    few = Evidence(FINE, 10, undone=Figure(6, 196), confirmed=Figure(195, 196))
    said = run_checks(few).in_order
    assert "Rounding to 8 bits undoes only 6 of 196 successes" in said
    assert "195 of 196 successes fool the model again when shown once more" in said
    assert "Successes survive rounding to 8 bits" in run_checks(replace(few, undone=Figure(0, 196))).in_order


def test_severe_doubts_come_first_the_most_telling_one_at_the_head() -> None:
    odd = replace(FINE, training=("1 (Dropout)",), changed=0.2, flat_margin=0.9, flat_ce=0.9)
    assert codes(odd, 3) == ["zero-gradients", "random-outputs", "train-mode", "few-classes"]


def test_early_doubts_are_those_of_the_probes() -> None:
    odd = replace(FINE, changed=0.2)
    assert [doubt.code for doubt in early_doubts(odd, 10)] == ["random-outputs"]


# --- signs and thresholds -----------------------------------------------------------------------------------------


def test_nothing_is_doubtful_about_a_fine_model() -> None:
    on = OnSubset(flags(1, 2), flags(1, 2, 3), flags(1, 2, 3), flags(1), flags(2))
    assert codes(on=on, undone=Figure(2, 100), confirmed=Figure(100, 100), **curve(99, 80, 82, 10, 0)) == []


@pytest.mark.parametrize(
    ("ce", "margin", "expected"),
    [
        (0.95, 0.0, ["loss-saturation"]),
        (1.0, 1.0, ["zero-gradients"]),
        (0.95, 0.10, ["loss-saturation", "zero-gradients"]),
        (0.02, 0.0, []),  # two images of a hundred
        (0.04, 0.04, []),
        (None, None, []),
    ],
)
def test_gradients(ce: float | None, margin: float | None, expected: list[str]) -> None:
    assert codes(replace(FINE, flat_ce=ce, flat_margin=margin)) == expected


def test_low_precision_is_named_instead_of_what_it_explains() -> None:
    local = Local(constant=0.9, faithful=0.9, aligned=0.9, unstable=0.0, passes=0)
    steps = replace(FINE, local=local, flat_margin=0.2, flat_ce=0.2)
    assert codes(steps) == ["piecewise-constant", "zero-gradients"]
    assert codes(replace(steps, rounded="bfloat16")) == ["low-precision"]
    assert codes(replace(FINE, rounded="bfloat16")) == []


@pytest.mark.parametrize(
    ("moved", "filled", "fires"), [(0.05, 0.05, True), (1.0, 0.9, True), (0.97, 0.97, True), (0.98, 0.98, False)]
)
def test_budget_used(moved: float, filled: float, fires: bool) -> None:
    assert codes(replace(FINE, moved=moved, filled=filled)) == ["budget-not-used"] * fires


def test_the_b_rule() -> None:
    assert beats(flags(1, 2, 3), flags()) == 3
    assert beats(flags(1, 2), flags()) == 0
    assert beats(flags(1, 2, 3, 4), flags(4)) == 3
    assert beats(flags(1, 2, 3, of=400), flags(of=400)) == 0


@pytest.mark.parametrize(
    ("single", "iterative", "gradient", "query", "noise", "expected"),
    [
        (flags(1, 2, 3), flags(), flags(1, 2, 3), flags(), flags(), "single-step-beats-iterative"),
        (flags(), flags(), flags(), flags(1, 2, 3), flags(), "black-box-beats-white-box"),
        (flags(), flags(), flags(), flags(), flags(1, 2, 3), "noise-beats-gradient"),
    ],
)
def test_comparisons(
    single: Tensor, iterative: Tensor, gradient: Tensor, query: Tensor, noise: Tensor, expected: str
) -> None:
    assert codes(on=OnSubset(single, iterative, gradient, query, noise)) == [expected]


def test_comparisons_need_both_sides() -> None:
    assert codes(on=OnSubset(None, flags(), None, flags(1, 2, 3), flags(1, 2, 3))) == []


def test_not_monotone_looks_at_all_pairs() -> None:
    seen = Evidence(FINE, 2, families=frozenset({"query"}), **curve(99, 50, 51, 52, 53, whole_box=False))
    (doubt,) = (one for one in run_checks(seen).doubts if one.code == "not-monotone")
    assert "0.1 to 0.4" in doubt.message
    assert doubt.share == 0.03


def test_large_eps() -> None:
    assert codes(**curve(99, 3)) == ["large-eps-survives"]
    assert codes(**curve(99, 2)) == []
    assert codes(**curve(99, 30, whole_box=False)) == ["large-eps-survives"]
    assert codes(classes=4, **curve(99, 30, whole_box=False)) == []  # chance
    assert codes(**{**curve(99, 30), "curve_family": "single-step"}) == []


def test_the_model() -> None:
    odd = replace(FINE, training=("1 (Dropout)",), changed=0.2, top_share=0.9)
    assert codes(odd, 3) == ["constant-predictor", "random-outputs", "train-mode", "few-classes"]
    assert codes(replace(FINE, top_share=0.9, top_truth=0.9)) == []
    assert codes(replace(FINE, top_share=0.54, top_truth=0.5), 2) == ["few-classes"]  # two classes, nearly even
    assert codes(replace(FINE, top_share=1.0, top_truth=0.5), 2) == ["constant-predictor", "few-classes"]
    assert codes(replace(FINE, renamed=0.99)) == ["label-order"]


def test_rounding_and_few_attacks() -> None:
    assert codes(undone=Figure(5, 100)) == ["rounding"]
    for families in ({"noise", "query"}, {"single-step", "iterative"}):
        assert codes(families=frozenset(families)) == ["few-attacks"]


def test_claims() -> None:
    clean = Checked(Claim(0.99, 0.0), 0.0, Figure(900, 1000))
    fine = Checked(Claim(0.905, 0.0), 0.0, Figure(900, 1000))
    other = Checked(Claim(0.9, 0.3, "fgsm"), 0.3, Figure(0, 1000), None, Figure(500, 1000))
    same = Checked(Claim(0.51, 0.3, "fgsm"), 0.3, Figure(0, 1000), None, Figure(500, 1000))
    found = [codes(claims=(one,)) for one in (clean, fine, other, same)]
    assert found == [["clean-mismatch"], [], ["claim-not-reproduced"], []]
