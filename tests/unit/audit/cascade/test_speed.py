"""Headway, suites, the receipt and the forecast: what the audit saves, and how it accounts for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.margin_progress import Headway
from sparring.audit.cascade.outcome import STANDING
from sparring.audit.cascade.progress import Step
from sparring.audit.cascade.receipt import LEAST, RECEIPT, affordable, lots, receipt_of, run_plainly
from sparring.audit.inputs.clean import Clean
from sparring.audit.report.html.page import render
from sparring.audit.run.forecast import forecast
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.find import suite
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError
from sparring.result import Result

THREAT = sp.Threat("Linf", 0.1)
SHORT = (
    Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
    Stage("PGD", "pgd:steps=5,loss=margin", "iterative"),
    Stage("Square", "square:queries=20", "query"),
)


@pytest.fixture(scope="module")
def net() -> nn.Module:
    return sp.load_model("mnist-cnn")


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=40).tensors()


def told(stage: Stage, margin: list[float]) -> Result:
    """A result that says these margins."""
    n = len(margin)
    zeros, never = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.bool)
    return Result(
        torch.zeros(n, 1), never, torch.full((n,), torch.inf), torch.tensor(margin), ~never, zeros, zeros, zeros - 1,
        THREAT, stage.spec, 0, 0.0,
    )  # fmt: skip


# --- headway ------------------------------------------------------------------------------------------------------


def test_headway_is_the_share_of_the_clean_margin_that_is_gone() -> None:
    climb, ask = Stage("", "pgd", "iterative"), Stage("", "square", "query")
    headway = Headway(torch.tensor([-10.0, -10.0, -0.1, -10.0]))
    headway.note(climb, torch.tensor([0, 1, 2]), told(climb, [-4.0, -6.0, -0.05]))
    headway.note(ask, torch.tensor([1]), told(ask, [-3.0]))
    near = dataclasses.replace(climb, min_progress=0.5)
    assert headway.admits(near).tolist() == [True, True, True, False]
    assert headway.admits(dataclasses.replace(climb, min_progress=0.65)).tolist() == [False, True, False, False]
    assert headway.admits(climb).all()


def test_a_worse_point_takes_no_headway_back() -> None:
    climb = Stage("", "pgd", "iterative", min_progress=0.5)
    headway = Headway(torch.tensor([-1.0]))
    for margin in (-0.4, -0.9, float("nan")):
        headway.note(climb, torch.tensor([0]), told(climb, [margin]))
    assert headway.admits(climb).tolist() == [True]


def test_where_gradients_mislead_random_search_goes_on() -> None:
    climb, ask = Stage("", "pgd", "iterative", min_progress=0.9), Stage("", "square", "query", min_progress=0.9)
    headway = Headway(torch.tensor([-1.0, -1.0]))
    headway.note(climb, torch.arange(2), told(climb, [-1.0, -0.8]))
    headway.note(ask, torch.arange(2), told(ask, [-0.8, -0.75]))
    assert headway.admits(ask).tolist() == [True, False]
    assert not headway.admits(climb).any()


def test_a_model_without_margins_is_given_everything() -> None:
    assert Headway(torch.tensor([torch.nan])).admits(Stage("", "pgd", "iterative", min_progress=0.9)).all()


def test_near_stages_leave_the_far_alone_but_not_the_subset(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    long = Stage("long", "pgd:steps=5,restarts=2", "iterative", min_progress=1)
    small = Suite("s", "", (*SHORT, long), subset=10, curves=())
    report = sp.audit(net, digits, sp.Threat("Linf", 0.02), suite=small)
    ran = {one.stage.title: one for one in report.attacks}
    assert report.robust.hits > 10
    assert len(ran["long"].rows) == 10, "the sanity subset, which is drawn at random"
    assert bool(report.worst.clean_correct[ran["long"].rows].all())
    assert len(ran["Square"].rows) >= report.robust.hits


# --- suites -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SUITES, "black-box"])
def test_every_suite_can_run_and_knows_its_price(name: str) -> None:
    found = suite(name)
    for stage in found.stages:
        assert stage.attack()
        assert 0 < stage.usual_passes(10) <= stage.most_passes(10)
    assert found.stages[0].min_progress is None
    assert "query" in {stage.family for stage in found.stages}


def test_what_averages_is_not_oblivious_of_randomness(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = net(x + 0.3 * torch.randn_like(x))
            return found

    stages = ["fgsm", "pgd:steps=5,view=eot10"]
    report = sp.audit(Noisy(), (digits[0][:6], digits[1][:6]), THREAT, suite=stages, clean_floor=0)
    tried = next(one for one in report.tried if one.code == "random-outputs")
    alone = next(one for one in report.attacks if one.stage.spec == "fgsm")
    assert alone.stage.copies == 1
    averaged = next(one for one in report.attacks if one.stage.copies == 10)
    assert int(averaged.result.success.sum()) > int(alone.result.success.sum())
    assert tried.oblivious.hits == int((~alone.result.success).sum())


@pytest.mark.parametrize(
    "spec",
    [
        "fgsm",
        "pgd:steps=5",
        "pgd:steps=5,view=eot3",
        "apgd-t:steps=4,targets=3",
        "square:queries=30",
        "apgd-square:steps=4,queries=9",
    ],
)
def test_the_price_is_not_exceeded_by_much(net: nn.Module, digits: tuple[Tensor, Tensor], spec: str) -> None:
    result = sp.attack(spec)(net, digits[0][:6], digits[1][:6], sp.Threat("Linf", 0.001))
    most = Stage("", spec, "iterative").most_passes(10)
    assert int((result.queries + result.gradients).max()) <= most + 2 * (most // 8) + 3


def test_the_black_box_suite_needs_no_gradients(net: sp.Model) -> None:
    stages, _ = suite("black-box").fit(sp.wrap(net.net, access="score"), THREAT)
    assert {"Square", "Random noise"} <= {stage.title for stage in stages}
    assert all(stage.attack().info.sees != "gradient" for stage in suite("black-box").stages)


OWN = """\
# mine
name: mine
subset: 7
receipt: false
longer: true
stages:
  - fgsm                # one step
  - noise:draws=5
  - attack: "square:queries=20"
    title: Square, short
    min_progress: 0.5
    full_on_subset: false
  - attack: apgd-ce
    saturating_loss: false
"""


def test_a_suite_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    found = suite(str(path))
    assert (found.name, found.subset, found.receipt) == ("mine", 7, False)
    assert (found.transfer, found.longer) == (False, True)
    assert [stage.spec for stage in found.stages] == ["fgsm", "noise:draws=5", "square:queries=20", "apgd-ce"]
    last = found.stages[2]
    assert (last.title, last.min_progress, last.full_on_subset, last.family) == ("Square, short", 0.5, False, "query")
    assert found.stages[1].family == "noise"
    assert not found.stages[3].saturating_loss


def test_a_stage_is_stored_and_read_again_under_old_names_too() -> None:
    stage = Stage("t", "pgd", "iterative", True, False, True, 0.5, "rescaled", "bfloat16")
    assert Stage.of_record(stage.__dict__) == stage
    old = ("title", "spec", "family", "blind", "seen", "claimed", "near", "subject", "precision")
    assert Stage.of_record(dict(zip(old, stage.__dict__.values(), strict=False))) == stage


def test_a_suite_file_of_version_0_1_means_the_same(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    new = suite(str(path))
    text = (
        OWN.replace("min_progress:", "near:").replace("full_on_subset:", "seen:").replace("saturating_loss:", "blind:")
    )
    path.write_text(text)
    assert text != OWN
    assert suite(str(path)) == new


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\n", "there are no stages"),
        ("stages:\n  - nosuch\n", "line 2: no attack is called"),
        ("stages:\n  - fgsm\nsubset: many\n", "line 3: subset is 'many'; expected a valid integer"),
        ("stages:\n  - attack: fgsm\n    colour: red\n", "line 3: 'colour' is not known"),
        ("stages:\n  - attack: fgsm\n    near: 2\n", "line 3: min_progress is 2; expected less than or equal to 1"),
        ("stages:\n  - attack: fgsm\n    near: true\n", "min_progress is .true.; expected a valid number"),
        ("stages:\n  - attack: fgsm\n    near: .nan\n", "min_progress is nan; expected"),
        ("stages:\n  - attack: fgsm\n    seen: 1\n", "full_on_subset is 1; expected a valid boolean"),
        ("stages:\n  - fgsm\n  - [fgsm]\n", "line 3: a stage has an attack"),
        ("- fgsm\n", "a suite has stages"),
        ("", "there are no stages"),
        ("stages:\n", "there are no stages"),
        ("stages:\n  - title: x\n", "has no attack"),
        ("stages:\n  - fgsm\nreceipt: 3\n", "receipt is 3; expected a valid boolean"),
        ("stages:\n  - fgsm\ntransfer: often\n", "transfer is 'often'; expected a valid boolean"),
        ("stages: &a\n", "line 1: anchors and aliases are not allowed"),
        ("a: &a [x]\nb: [*a, *a]\n", "line 1: anchors and aliases are not allowed"),
        ("stages:\n  - *a\n", "line 2: anchors and aliases are not allowed"),
        ("stages:\n  - !!python/object fgsm\n", "line 2: tags are not allowed"),
        ("stages:\n  - !!timestamp x\n", "line 2: tags are not allowed"),
        ("stages: " + 20000 * "[" + "\n", "more than 8 levels are not allowed"),
        ("stages: [" + 60000 * "9" + "]\n", "put it in quotes"),
        ("stages:\n  - fgsm\n1: 2\n", "line 3: a key must be a plain text"),
        ("stages:\n  - fgsm\nname: \x07\n", "line 3: the character #x0007 is not allowed"),
        ("stages:\n  - fgsm\nname: 2024-13-45\n", "not understood .*; put it in quotes"),
        ("#" * 70000, "has 70000 bytes"),
        ("stages:\n\t- fgsm\n", r"line 2: found character '..' that cannot start"),
        ("stages:\n  - fgsm\nbad\n", "line 4: could not find expected ':'"),
        ("name: a\nname: b\n", "there twice"),
        ("stages:\n  - attack: fgsm\n    near: 0.5\n    min_progress: 0.5\n", "line 4: 'min_progress' is there twice"),
    ],
)
def test_a_suite_that_makes_no_sense(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        suite(str(path))
    assert "\n" not in str(error.value)


def test_a_suite_file_that_is_not_there() -> None:
    with pytest.raises(InputError, match="cannot be read"):
        suite("nowhere.yaml")


# --- the receipt --------------------------------------------------------------------------------------------------


def cascade_over(net: nn.Module, digits: tuple[Tensor, Tensor], stages: tuple[Stage, ...], eps: float) -> Cascade:
    from sparring.audit.cascade.progress import Clock

    x, y = digits
    with torch.no_grad():
        logits = sp.wrap(net).logits(x)
    cascade = Cascade(sp.Threat("Linf", eps), Clean(x, y, logits, "digits", None, None), torch.arange(0), 0, 16)
    clock = Clock(len(y), len(y), None)
    clock.open([(stage.title, 1) for stage in stages], len(y), later=0)
    return cascade.run(sp.wrap(net), stages, clock)


def test_the_lots_are_drawn_from_what_the_model_gets_right(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    logits = torch.nn.functional.one_hot(y, 10).float()
    logits[:5] = -logits[:5]
    clean = Clean(x, y, logits, "digits", None, None)
    first, again, other = lots(clean, 0), lots(clean, 0), lots(clean, 1)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(first) == LEAST == len(set(first.tolist()))
    assert first.min() >= 5


def test_equal_verdicts_for_fewer_passes(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    cascade = cascade_over(net, digits, SHORT, 0.05)
    before = cascade.robust
    run_plainly(cascade, sp.wrap(net), SHORT, torch.arange(20))
    receipt = receipt_of(cascade, SHORT)
    assert receipt is not None
    assert cascade.robust == before
    assert (receipt.equal, receipt.missed, receipt.lost) == (20, (), ())
    assert receipt.plain > receipt.fast
    assert str(receipt) == f"{receipt.plain / receipt.fast:.1f} times fewer passes, 20 of 20 verdicts equal"
    assert not receipt.missed


def test_what_the_plain_loop_breaks_alone_counts_and_is_said(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    stages = (SHORT[0], Stage("PGD, given up", "pgd:steps=20", "iterative", min_progress=1))
    cascade = cascade_over(net, digits, stages, 0.06)
    before, standing = cascade.robust.hits, cascade.standing.clone()
    run_plainly(cascade, sp.wrap(net), stages, torch.arange(40))
    receipt = receipt_of(cascade, stages)
    assert receipt is not None
    assert receipt.missed
    assert cascade.robust.hits == before - len(receipt.missed)
    assert bool(standing[list(receipt.missed)].all())
    assert receipt.equal == 40 - len(receipt.missed)
    assert receipt.missed
    assert int((cascade.broken_by == STANDING).sum()) == cascade.robust.hits


def test_the_receipt_is_in_the_report(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    small = Suite("s", "", SHORT, subset=10, curves=(), receipt=True)
    report = sp.audit(net, digits, sp.Threat("Linf", 0.05), suite=small)
    plain: dict[str, Any] = json.loads(report.to_json())
    assert report.receipt is not None
    assert plain["receipt"]["said"] == str(report.receipt)
    assert 1 <= len(plain["receipt"]["images"]) <= LEAST
    assert plain["receipt_not_checked"] is None
    assert plain["cost"]["receipt"] + plain["cost"]["controls"] <= plain["cost"]["attacks"] / 3
    assert plain["cost"]["receipt"] == report.receipt.plain > 0
    assert plain["passes"] == sum(plain["cost"].values())
    assert all(one.place[0] != RECEIPT for one in report.attacks)
    assert report.robust.hits == int((~report.worst.success).sum())
    in_two = sp.audit(net, digits, sp.Threat("Linf", 0.05), suite=dataclasses.replace(small, receipt=False))
    assert in_two.receipt is None
    assert "the suite s has no receipt" in in_two.to_json()
    assert in_two.robust == report.robust


def test_a_receipt_can_be_switched_off_and_then_nothing_is_called_checked(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    small = Suite("s", "", SHORT, subset=10, curves=(), receipt=True)
    report = sp.audit(net, digits, sp.Threat("Linf", 0.05), suite=small, receipt="off")
    assert report.receipt is None
    assert report.cost["receipt"] == 0
    assert json.loads(report.to_json())["receipt_not_checked"] == "the receipt was switched off"
    assert not any("shortcut" in said.lower() for said in report.in_order)
    page = render(report.to_dict())
    assert "not checked: the receipt was switched off" in page
    with pytest.raises(InputError, match="receipt is 'no'; write auto or off"):
        sp.audit(net, digits, sp.Threat("Linf", 0.05), suite=small, receipt="no")


def test_a_receipt_that_would_cost_more_than_the_attacks_is_not_made(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    long = Stage("Long", "pgd:steps=500", "iterative", full_on_subset=False, min_progress=1)
    quick = Suite("s", "", (SHORT[0], long), subset=4, curves=(), receipt=True)
    for eps, why in ((0.5, "nothing was left standing"), (0.02, "more than a third of the attacks")):
        report = sp.audit(net, (digits[0][:20], digits[1][:20]), sp.Threat("Linf", eps), suite=quick)
        assert (report.robust.hits == 0) is (eps == 0.5)
        assert report.receipt is None
        assert why in str(report.to_dict()["receipt_not_checked"])


def test_images_for_a_receipt_are_as_many_as_it_may_cost() -> None:
    rows = torch.arange(100, 120)
    stages = (*SHORT, Stage("Claimed", "pgd", "iterative", excluded=True))
    prices = [stage.most_passes(10) for stage in SHORT]
    each = sum(price + price // 8 + 3 for price in prices)
    few = affordable(stages, rows, 10, 5 * each + each - 1, 0)
    assert len(few) == 5
    assert torch.equal(few, affordable(stages, rows, 10, 5 * each, 0))
    assert bool(torch.isin(few, rows).all())
    assert torch.equal(affordable(stages, rows, 10, 99 * each, 0), rows)
    assert len(affordable(stages, rows, 10, each - 1, 0)) == 0


def test_progress_forecasts_receipt_and_controls_and_ends_with_them(
    net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    steps: list[Step] = []
    suite = Suite("s", "", SHORT, subset=10, curves=(), receipt=True, transfer=True, longer=True)
    sp.audit(net, digits, sp.Threat("Linf", 0.02), suite=suite, progress=steps.append)
    titles = list(dict.fromkeys(step.title for step in steps))
    extras = ["Receipt (random images in full)", "Examples of another net", "Second look", "Longer searches"]
    assert titles == [*(stage.title for stage in SHORT), *extras]
    assert steps[-1].last
    assert not any(step.last for step in steps[:-1])
    assert all(any(step.finished for step in steps if step.title == title) for title in titles)
    before = next(step for step in steps if step.title == "Square" and step.finished)
    assert before.left > 0, "what comes after the attacks is forecast before it starts"
    after = next(step for step in steps if step.title == extras[0])
    assert 0 < after.left <= before.seconds


# --- the forecast -------------------------------------------------------------------------------------------------


def test_a_forecast_says_what_each_number_of_images_buys(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    plan = plan_audit(net, digits, sp.Threat("Linf", 0.02), suite=Suite("s", "", SHORT))
    found = forecast(plan, 1.0)
    assert found.seconds < 5
    assert 8 <= found.tried <= 40
    assert found.offers[-1].images == 40
    widths, seconds = [one.half_width for one in found.offers], [one.seconds for one in found.offers]
    assert widths == sorted(widths, reverse=True)
    assert seconds == sorted(seconds)
    assert {name for name, _ in found.suites} == set(SUITES)
    assert "points" in str(found.offers[-1])
    json.dumps(found.to_dict())


def test_a_forecast_of_a_slow_model_guesses_what_it_did_not_reach(digits: tuple[Tensor, Tensor]) -> None:
    import time

    class Slow(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = sp.load_model("mnist-cnn").net

        def forward(self, x: Tensor) -> Tensor:
            time.sleep(0.02)
            return self.net(x)

    plan = plan_audit(Slow(), digits, sp.Threat("Linf", 0.02), suite="standard")
    found = forecast(plan, 0.5)
    assert not found.reached
    assert found.seconds < 3
    assert found.per_image > 500
