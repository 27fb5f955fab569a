"""What a result says, with its denominators; joining, comparing, and writing it down as strict JSON."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch

import sparring as sp
from sparring.errors import InputError
from sparring.result import Doubt, Result, Trace, concat, finite, worst_case
from sparring.threat import Threat

INF = math.inf


def result(distance: list[float], **changes: Any) -> Result:
    """A result whose first sample may be wrong anyway (distance 0), the others found at `distance` (inf = not)."""
    d = torch.tensor(distance)
    n = len(d)
    fields: dict[str, Any] = {
        "x_adv": torch.arange(n * 2.0).reshape(n, 2) / 10,
        "success": d.isfinite(),
        "distance": d,
        "margin": torch.where(d.isfinite(), 1.0, -1.0),
        "clean_correct": d > 0,
        "queries": torch.full((n,), 5),
        "gradients": torch.full((n,), 3),
        "first_hit": torch.where(d.isfinite(), 2, -1),
        "threat": Threat("Linf", 0.3),
        "attack": "a",
        "seed": 0,
        "seconds": 1.5,
    }
    return Result(**{**fields, **changes})


def test_four_figures_and_their_denominators() -> None:
    r = result([0.0, 0.1, 0.25, INF, INF])
    assert len(r) == 5
    assert r.clean_accuracy == 4 / 5, "right on the clean image, of all"
    assert r.robust_accuracy() == 2 / 5, "of all: the clean error counts as broken"
    assert r.attack_success_rate == 2 / 4, "of those that were right"
    assert r.median_distance == pytest.approx(0.1), "the lower median of 0.1 and 0.25, the clean error left out"


def test_robust_accuracy_at_smaller_eps_and_the_curve() -> None:
    r = result([0.0, 0.1, 0.25, INF])
    assert r.robust_accuracy(0.0) == 3 / 4
    assert r.robust_accuracy(0.1) == 2 / 4, "a perturbation of exactly eps is inside"
    assert r.curve([0.05, 0.2, 0.3]) == [3 / 4, 2 / 4, 1 / 4]
    assert r.curve([]) == []


def test_nothing_is_claimed_beyond_the_eps_that_was_searched() -> None:
    with pytest.raises(InputError, match=r"searched up to eps 0\.3; nothing is known about eps 0\.4"):
        result([0.1, INF]).robust_accuracy(0.4)
    assert result([0.1, 2.0, INF], threat=Threat("L2")).robust_accuracy(1.0) == 2 / 3, "without an eps all are known"


def test_clean_errors_count_as_broken_under_a_target_too() -> None:
    """A sample that is wrong anyway, but not as the target wants, is no success of the attack and still not robust."""
    r = result([INF, 0.1, INF], clean_correct=torch.tensor([False, True, True]))
    assert r.clean_accuracy == pytest.approx(2 / 3)
    assert r.robust_accuracy() == pytest.approx(1 / 3)
    assert r.robust_accuracy(0.05) == pytest.approx(2 / 3)
    assert r.robust_accuracy() <= r.clean_accuracy


def test_a_targeted_attack_on_a_wrong_model_is_not_called_robust() -> None:
    net = torch.nn.Linear(3, 3, bias=False).requires_grad_(False)
    net.weight.copy_(torch.eye(3))
    x = torch.tensor([[0.9, 0.1, 0.0]])
    r = sp.FGSM()(net, x, sp.Targeted(torch.tensor([2]), torch.tensor([1])), ("Linf", 0.01))
    assert (r.clean_accuracy, r.robust_accuracy(), bool(r.success)) == (0.0, 0.0, False)


def test_no_samples_are_no_figures() -> None:
    r = result([])
    for value in (r.clean_accuracy, r.robust_accuracy(), r.attack_success_rate, r.median_distance):
        assert math.isnan(value)
    assert "no samples" in str(r)
    assert json.loads(r.to_json())["robust_accuracy"] is None


def test_the_sentence_names_attack_threat_figures_and_doubts() -> None:
    text = str(result([0.0, 0.1, INF], doubts=(Doubt("zero-gradients", "..."),)))
    for part in ("a at Linf 0.3", "clean 66.7%", "robust 33.3% of 3", "1 of 2 fooled", "1 doubts: zero-gradients"):
        assert part in text
    assert "nan" not in str(result([0.1])).lower()


# --- joining --------------------------------------------------------------------------------------------------


def test_concat_keeps_the_order_and_adds_the_time() -> None:
    a, b = result([0.1, INF]), result([0.0, 0.2, INF], x_adv=torch.ones(3, 2))
    joined = concat([a, b])
    assert joined.distance.tolist() == pytest.approx([0.1, INF, 0.0, 0.2, INF])
    assert torch.equal(joined.x_adv, torch.cat([a.x_adv, b.x_adv]))
    assert joined.seconds == 3.0
    assert len(concat([a])) == 2
    with pytest.raises(InputError, match="no results"):
        concat([])


def test_concat_weighs_the_share_of_a_doubt() -> None:
    a = result([0.1, INF], doubts=(Doubt("x", "half", 0.5),))
    b = result([0.1, 0.2, INF, INF, INF, INF], doubts=(Doubt("x", "all", 1.0), Doubt("y", "some", 0.25)))
    doubts = {doubt.code: doubt.share for doubt in concat([a, b]).doubts}
    assert doubts == {"x": pytest.approx((0.5 * 2 + 6) / 8), "y": pytest.approx(0.25 * 6 / 8)}


def test_worst_case_takes_the_nearest_success_of_each_sample() -> None:
    """ART's FGM keeps the restart with the best rate over the batch: per sample is what the attacker would take."""
    a = result([0.1, 0.3, INF, INF], margin=torch.tensor([1.0, 1.0, -5.0, -1.0]), x_adv=torch.zeros(4, 2), attack="a")
    b = result([INF, 0.2, 0.25, INF], margin=torch.tensor([-1.0, 1.0, 1.0, -3.0]), x_adv=torch.ones(4, 2), attack="b")
    worst = worst_case(a, b)
    assert worst.success.tolist() == [True, True, True, False]
    assert worst.distance.tolist() == pytest.approx([0.1, 0.2, 0.25, INF])
    assert worst.x_adv[:, 0].tolist() == [0, 1, 1, 0], "where none succeeds, the point nearest to success"
    assert worst.margin.tolist() == [1, 1, 1, -1]
    assert worst.queries.tolist() == [10] * 4
    assert worst.gradients.tolist() == [6] * 4
    assert worst.attack == "a + b"
    assert worst.robust_accuracy() == 1 / 4
    assert worst.robust_accuracy() <= min(a.robust_accuracy(), b.robust_accuracy())


def test_worst_case_is_the_same_in_any_order_and_of_one() -> None:
    a, b = result([0.1, INF, 0.3]), result([0.2, 0.1, INF])
    assert torch.equal(worst_case(a, b).distance, worst_case(b, a).distance)
    assert torch.equal(worst_case(a).distance, a.distance)


def test_worst_case_knows_margins_of_decision_attacks_are_unknown() -> None:
    blind = result([INF, INF], margin=torch.tensor([torch.nan, torch.nan]), x_adv=torch.ones(2, 2))
    seeing = result([INF, INF], margin=torch.tensor([-2.0, -3.0]), x_adv=torch.zeros(2, 2))
    assert worst_case(blind, seeing).margin.tolist() == [-2.0, -3.0]


@pytest.mark.parametrize("other", [result([0.1]), result([0.1, 0.2], threat=Threat("L2", 1))])
def test_worst_case_refuses_what_cannot_be_compared(other: Result) -> None:
    with pytest.raises(InputError, match="same samples under the same norm"):
        worst_case(result([0.1, 0.2]), other)
    with pytest.raises(InputError, match="at least one"):
        worst_case()


# --- JSON -----------------------------------------------------------------------------------------------------


def test_json_is_strict_and_complete() -> None:
    r = result([0.0, 0.1, INF], margin=torch.tensor([1.0, torch.nan, -1.0]), doubts=(Doubt("x", "says x", 0.5),))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    read = json.loads(r.to_json(), parse_constant=refuse)
    assert read["threat"] == {"norm": "Linf", "eps": 0.3, "box": None, "levels": None}
    assert (read["n"], read["initially_correct"], read["passes"]) == (3, 2, 24)
    assert read["robust_accuracy"] == pytest.approx(1 / 3)
    assert read["doubts"] == [{"code": "x", "share": 0.5, "message": "says x"}]
    assert [row["distance"] for row in read["samples"]] == [0.0, pytest.approx(0.1), None]
    assert read["samples"][1] == {
        "index": 1, "success": True, "distance": pytest.approx(0.1), "margin": None, "clean_correct": True,
        "queries": 5, "gradients": 3, "first_hit": 2,
    }  # fmt: skip


def test_finite_replaces_what_json_does_not_know() -> None:
    assert finite({"a": [1, INF, -INF, math.nan], 2: (True, None, "x")}) == {
        "a": [1, None, None, None],
        "2": [True, None, "x"],
    }


def test_trace_of_a_run_is_time_by_samples() -> None:
    net = torch.nn.Linear(4, 2)
    x = torch.rand(3, 4, generator=torch.Generator().manual_seed(0))
    trace = sp.BIM(steps=4)(net, x, net(x).argmax(1), ("Linf", 1e-6), trace=True).trace
    assert isinstance(trace, Trace)
    assert trace.margin.shape == trace.distance.shape == trace.query.shape == (6, 3), "clean, 4 steps, the answer"
    assert trace.query[:, 0].tolist() == [1, 2, 3, 4, 5, 6]
    assert trace.distance[0].tolist() == [0, 0, 0]
    assert sp.BIM(steps=4)(net, x, net(x).argmax(1), ("Linf", 1e-6)).trace is None
