"""The audit end to end on small nets: honest ones, hidden ones, broken ones."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.progress import Step
from sparring.audit.report.report import Report
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Stage, Suite
from sparring.errors import InputError
from sparring.zoo.shipped import SHIPPED

Images = tuple[Tensor, Tensor]

SMALL = Suite(
    "small",
    "for tests",
    (
        Stage("Random noise", "noise:draws=20", "noise"),
        Stage("FGSM", "fgsm", "single-step", saturating_loss=True),
        Stage("PGD-10", "pgd:steps=10", "iterative", saturating_loss=True),
        Stage("PGD-10 (margin)", "pgd:steps=10,loss=margin", "iterative"),
        Stage("APGD-DLR", "apgd-dlr:steps=15", "iterative"),
        Stage("Square", "square:queries=150", "query"),
    ),
    curves=(Stage("PGD-10 (margin)", "pgd:steps=10,loss=margin", "iterative"),),
)
THREAT = sp.Threat("Linf", eps=0.3)


@pytest.fixture(scope="module")
def digits() -> Images:
    return sp.load_data("mnist5k", n=60).tensors()


@pytest.fixture(scope="module")
def plain() -> nn.Module:
    """A small net, trained for a second; about 90 % clean."""
    x, y = sp.load_data("mnist5k", "train").tensors()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    adam = torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(3):
        for start in range(0, len(x), 100):
            loss = F.cross_entropy(net(x[start : start + 100]), y[start : start + 100])
            adam.zero_grad()
            loss.backward()
            adam.step()
    return net.eval()


class Scaled(nn.Module):
    """Logits times a factor: what distillation at this temperature leaves behind."""

    def __init__(self, net: nn.Module, factor: float = 100.0) -> None:
        super().__init__()
        self.net, self.factor = net, factor

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * self.net(x)


class Opaque(nn.Module):
    """Passes pixels on and no gradient back."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.detach())


class Gated(torch.autograd.Function):
    """The identity, whose backward pass points somewhere else."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        return torch.ones_like(grad)


class Misleading(Opaque):
    def forward(self, x: Tensor) -> Tensor:
        return self.net(Gated.apply(x))


@pytest.fixture(scope="module")
def plain_report(plain: nn.Module, digits: Images) -> Report:
    return sp.audit(plain, digits, THREAT, suite=SMALL, claims=["fgsm:0.1=0.5", "clean=0.9"])


def codes(report: Report) -> list[str]:
    return [doubt.code for doubt in report.doubts]


# --- verdicts -----------------------------------------------------------------------------------------------------


def test_a_plain_net_has_nothing_left_and_is_not_accused(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(plain, digits, THREAT, suite=SMALL)
    assert report.status == "no-claim"
    assert report.robust_accuracy == 0.0
    assert report.attack_success_rate == 1.0
    assert report.verdict.startswith("Robust accuracy is 0.0 %. 0 of 60 images survive")
    assert set(codes(report)) <= {"rounding"}


def test_the_distilled_net_is_found_out(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(Scaled(plain), digits, THREAT, suite=SMALL, claims=["fgsm:0.3=0.88"])
    (claim,) = report.claims
    assert claim.reproduced is not None
    assert claim.reproduced.value > 0.8  # as claimed, near enough: not being attacked
    assert claim.moved is not None
    assert claim.moved < 0.15
    assert (report.status, report.cause) == ("gradient-masking", "loss-saturation")
    assert {"loss-saturation", "budget-not-used"} <= set(codes(report))
    assert report.robust_accuracy == 0.0
    assert report.verdict.startswith(
        "Robust accuracy is 0.0 %, not 88.0 %: FGSM failed because the softmax is saturated."
    )
    for words in ("gradient masking", "margin or DLR loss", "Square alone leaves"):
        assert words in report.verdict


@pytest.mark.long
def test_a_net_without_a_backward_pass(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(Opaque(plain), digits, sp.Threat("Linf", 0.1), suite=SMALL, claims=["pgd=0.9"])
    assert (report.status, report.cause) == ("gradient-masking", "zero-gradients")
    assert {"zero-gradients", "black-box-beats-white-box", "budget-not-used"} <= set(codes(report))
    assert "loss-saturation" not in codes(report)
    assert "Square alone leaves" in report.verdict


@pytest.mark.long
def test_gradients_that_mislead(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(Misleading(plain), digits, sp.Threat("Linf", 0.15), suite=SMALL)
    assert "black-box-beats-white-box" in codes(report)
    assert "zero-gradients" not in codes(report)
    assert report.status == "gradient-masking"


def test_dropout_left_on_is_random_and_said_first(plain: nn.Module, digits: Images) -> None:
    net = nn.Sequential(nn.Dropout(0.3), plain)
    net[0].train()
    model = sp.wrap(net, mode="as_is")
    report = sp.audit(model, digits, sp.Threat("Linf", 0.05), suite=["fgsm", "square:queries=20"])
    assert codes(report)[:1] == ["random-outputs"]
    assert "train-mode" in codes(report)
    assert "The model came in train mode: " in report.verdict


def test_train_mode_is_told_and_undone(plain: nn.Module, digits: Images) -> None:
    net = nn.Sequential(nn.Dropout(0.5), plain)
    net.train()
    report = sp.audit(net, digits, THREAT, suite=["fgsm", "square:queries=20"])
    assert "train-mode" in codes(report)
    assert "random-outputs" not in codes(report)
    assert net[0].training
    plain.eval()


@pytest.mark.skipif("mnist-cnn-pgd" not in SHIPPED, reason="the net is not in this package")
def test_the_shipped_adversarially_trained_net_is_not_accused(digits: Images) -> None:
    report = sp.audit(sp.load_model("mnist-cnn-pgd"), digits, THREAT, suite=SMALL, n=40)
    assert report.status == "no-claim"
    assert report.robust_accuracy > 0.6
    assert set(codes(report)) <= {"rounding"}


@pytest.mark.skipif("SPARRING_DATA" not in os.environ, reason="needs the reference nets: set SPARRING_DATA")
def test_an_honest_net_is_not_accused(digits: Images) -> None:
    from safetensors.torch import load_file

    from sparring.zoo.nets import make_net

    net = make_net("trades")
    net.load_state_dict(load_file(Path(os.environ["SPARRING_DATA"]) / "nets" / "smallcnn-trades.safetensors"))
    small = Suite("tiny", "", SMALL.stages[1:5], curves=(Stage("", "pgd:steps=5,loss=margin", "iterative"),))
    report = sp.audit(net, (digits[0][:16], digits[1][:16]), THREAT, suite=small, claims=["0.93"])
    assert report.status == "claim-holds"
    assert report.robust_accuracy > 0.8
    assert codes(report) == ["few-attacks"]


# --- figures ------------------------------------------------------------------------------------------------------


def test_figures_belong_together(plain_report: Report, digits: Images) -> None:
    report = plain_report
    assert report.clean.of == report.robust.of == report.n == len(digits[0])
    assert report.success.of == report.clean.hits
    assert report.success.hits == report.clean.hits - report.robust.hits
    assert report.robust.hits == int((~report.worst.success).sum())
    standing = [one.robust.hits for one in report.attacks]
    assert standing == sorted(standing, reverse=True)
    assert standing[-1] == report.robust.hits
    assert sum(len(one.broke) for one in report.attacks) == report.success.hits
    assert report.passes == sum(report.cost.values())
    assert report.confirmed.hits == report.confirmed.of == report.success.hits


def test_only_survivors_go_on_but_the_subset_is_seen_by_all(plain: nn.Module, digits: Images) -> None:
    small = Suite("s", "", SMALL.stages, subset=10, curves=())
    report = sp.audit(plain, digits, sp.Threat("Linf", 0.05), suite=small)
    assert report.curve is None
    before = report.clean.hits
    for one in report.attacks:
        assert one.tried == before
        assert before <= len(one.rows) <= before + 10
        before = one.robust.hits
    assert {figure.of for figure in report.alone.values()} == {10}


def test_the_worst_case_is_at_least_as_bad_as_each_attack(plain: nn.Module, digits: Images) -> None:
    digits = (digits[0][:25], digits[1][:25])
    report = sp.audit(plain, digits, sp.Threat("Linf", 0.08), suite=SMALL, seed=3)
    for one in report.attacks:
        alone = one.stage.attack()(plain, *digits, sp.Threat("Linf", 0.08), seed=3)
        assert bool((report.worst.success >= alone.success).all())
    assert bool((report.worst.distance[report.worst.success] <= 0.08 * (1 + 1e-5)).all())


def test_results_do_not_depend_on_the_batch_size(plain: nn.Module, digits: Images) -> None:
    def figures(batch_size: int) -> dict[str, Any]:
        plain = json.loads(sp.audit(net, data, sp.Threat("Linf", 0.06), suite=SMALL, batch_size=batch_size).to_json())
        for name in ("seconds", "created", "settings", "seal", "shards"):
            plain.pop(name, None)
        for one in plain["attacks"]:
            del one["seconds"]
        for row in plain["samples"]:
            row["margin"] = round(row["margin"], 4)
        return plain

    net, data = plain.double(), (digits[0][:12].double(), digits[1][:12])
    try:
        assert figures(5) == figures(12)
    finally:
        plain.float()


def test_a_claim_at_another_eps_gets_a_truth_of_its_own(plain_report: Report) -> None:
    first, clean = plain_report.claims
    assert (first.eps, clean.eps) == (0.1, 0.0)
    assert first.reproduced is not None
    assert first.truth.value > plain_report.robust_accuracy  # 0.1 against 0.3
    assert first.truth.value <= first.reproduced.value
    assert clean.truth == plain_report.clean


@pytest.mark.parametrize(
    "claim", ["square:queries=150=0.9", "apgd-t:steps=5,targets=2=0.9", "pgd:steps=5,restarts=2=0.9"]
)
def test_attacks_of_several_runs_are_repeated_with_their_best_point(
    plain: nn.Module, digits: Images, claim: str
) -> None:
    threat = sp.Threat("Linf", 0.1)
    report = sp.audit(plain, digits, threat, suite=["fgsm"], claims=[claim])
    alone = sp.attack(claim.rpartition("=")[0])(plain, *digits, threat)
    (found,) = report.claims
    assert found.reproduced is not None
    assert found.reproduced.value == pytest.approx(alone.robust_accuracy())
    assert found.moved is None


def test_what_any_part_of_the_audit_breaks_counts(plain: nn.Module, digits: Images) -> None:
    curve = (Stage("PGD", "pgd:steps=20", "iterative"),)
    weak = Suite("weak", "", (Stage("FGSM", "fgsm", "single-step", saturating_loss=True),), curves=curve)
    threat = sp.Threat("Linf", 0.08)
    report = sp.audit(plain, digits, threat, suite=weak, claims=["pgd:steps=20:0.07=0.1"])
    strong = sp.attack("pgd:steps=20")(plain, *digits, threat)
    weaker = sp.attack("fgsm")(plain, *digits, threat)
    assert report.robust_accuracy <= strong.robust_accuracy() < weaker.robust_accuracy()
    assert any("at eps 0.08" in one.stage.title for one in report.attacks)
    assert report.curve is not None
    assert {point.eps: point for point in report.curve.points}[0.08].envelope == report.robust


def test_the_curve_falls_and_meets_the_figures(plain_report: Report) -> None:
    curve = plain_report.curve
    assert curve is not None
    assert [point.eps for point in curve.points] == sorted(point.eps for point in curve.points)
    assert curve.points[0].raw == plain_report.clean
    envelope = [point.envelope.hits for point in curve.points]
    assert envelope == sorted(envelope, reverse=True)
    assert all(point.envelope.hits <= point.raw.hits for point in curve.points)
    assert (curve.large, curve.whole_box) == (1.0, True)


def test_progress_is_told_to_the_end(plain: nn.Module, digits: Images) -> None:
    steps: list[Step] = []
    sp.audit(plain, digits, THREAT, suite=SMALL, progress=steps.append, batch_size=30)
    assert {step.number for step in steps} == set(range(1, 9)), "the second look is a step, too"
    assert all(step.stages == 8 for step in steps)
    assert steps[-1].finished
    assert steps[-1].left == 0
    assert [step.standing for step in steps] == sorted((step.standing for step in steps), reverse=True)


# --- norms, access, kinds of data ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("norm", "eps"), [("L2", 2.0), ("L1", 20.0), ("L0", 20)])
def test_other_norms(plain: nn.Module, digits: Images, norm: str, eps: float) -> None:
    report = sp.audit(plain, digits, sp.Threat(norm, eps), suite=SMALL, n=20)
    assert report.robust_accuracy < report.clean_accuracy
    if norm != "L2":
        assert ("Square: not for " + norm in report.left_out) == (norm == "L0")
        assert ("few-attacks" in codes(report)) == (norm == "L0")
    assert bool((report.worst.distance[report.worst.success] <= eps * (1 + 1e-5)).all())


def test_a_model_that_gives_only_scores(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(sp.wrap(plain, access="score"), digits, THREAT, suite=SMALL, n=30)
    assert [one.stage.title for one in report.attacks] == ["Random noise", "Square"]
    assert report.probes.flat_ce is None
    assert "few-attacks" in codes(report)
    assert report.robust_accuracy < 0.3


def test_a_suite_without_an_attack_on_classes_is_refused(plain: nn.Module, digits: Images) -> None:
    with pytest.raises(InputError, match="needs score access"):
        sp.audit(sp.wrap(plain, access="decision"), digits, THREAT, suite="quick")


def test_two_classes(digits: Images) -> None:
    x, y = digits
    keep = y < 2
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 1))
    with torch.no_grad():  # the mean digit as a detector
        ones, zeros = x[keep & (y == 1)].mean(0).flatten(), x[keep & (y == 0)].mean(0).flatten()
        net[1].weight.copy_((ones - zeros)[None])
        net[1].bias.copy_((zeros @ zeros - ones @ ones)[None] / 2)
    report = sp.audit(net, (x[keep], y[keep]), THREAT, suite=SMALL)
    assert report.robust_accuracy < report.clean_accuracy
    assert report.data["classes"] == 2
    assert "few-classes" in codes(report)


@pytest.mark.parametrize(
    "make",
    [
        lambda x, y: (x, y),
        lambda x, y: (x.numpy(), y.numpy()),
        lambda x, y: [(x[:30], y[:30]), (x[30:], y[30:])],
        lambda x, y: torch.utils.data.TensorDataset(x, y),
        lambda x, y: torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=32),
        lambda x, y: [(image, int(label)) for image, label in zip(x, y, strict=True)],
        lambda x, y: sp.load_data("mnist5k"),
    ],
)
def test_kinds_of_data(plain: nn.Module, digits: Images, make: Callable[[Tensor, Tensor], Any]) -> None:
    report = sp.audit(plain, make(*digits), THREAT, suite=["fgsm"], n=50)
    assert report.n == 50
    assert report.data["sha256"] == sp.load_data("mnist5k", n=50).fingerprint()


# --- refusals -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x, y: (x[:0], y[:0]), "empty"),
        (lambda x, y: [], "empty"),
        (lambda x, y: (x, y + 1), "0..9"),
        (lambda x, y: (x * 255, y), "divide by 255"),
        (lambda x, y: (x, y[:-1]), "one label for each"),
        (lambda x, y: (x, y.float()), "class numbers are needed"),
        (lambda x, y: [x, y], "batches"),
        (lambda x, y: (x, (y + 3) % 10), "order of the labels"),
        (lambda x, y: (x * 0, y), "for every image"),
        (lambda x, y: (x, y[torch.randperm(len(y), generator=torch.Generator().manual_seed(0))]), "chance is 10.0 %"),
    ],
)
def test_data_that_makes_no_sense(
    plain: nn.Module, digits: Images, change: Callable[[Tensor, Tensor], Any], message: str
) -> None:
    with pytest.raises(InputError, match=message) as error:
        sp.audit(plain, change(*digits), THREAT, suite=["fgsm"])
    assert "\n" not in str(error.value)


def test_normalised_twice_is_named(plain: nn.Module, digits: Images) -> None:
    model = sp.wrap(plain, mean=5.0, std=0.05)
    with pytest.raises(InputError, match="without mean and std"):
        sp.audit(model, digits, THREAT)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threat": sp.Threat("Linf")}, "radius above 0"),
        ({"threat": sp.Threat("Linf", 0)}, "radius above 0"),
        ({"suite": "huge"}, "there are quick, standard, full"),
        ({"suite": ["nosuch"]}, "no attack is called"),
        ({"claims": ["nonsense"]}, "not understood"),
        ({"claims": ["rays=0.5"], "threat": sp.Threat("L1", 5)}, "not for L1"),
        ({"n": 0}, "n is 0; expected a whole number, at least 1"),
        ({"batch_size": 0}, "batch_size is 0; expected"),
        ({"clean_floor": 1.0}, "at least 100.0 % is asked for"),
    ],
)
def test_options_that_make_no_sense(plain: nn.Module, digits: Images, options: dict[str, Any], message: str) -> None:
    threat = options.pop("threat", THREAT)
    with pytest.raises(InputError, match=message):
        sp.audit(plain, digits, threat, **options)


def test_a_floor_of_zero_lets_anything_pass(plain: nn.Module, digits: Images) -> None:
    report = sp.audit(plain, (digits[0], (digits[1] + 3) % 10), THREAT, suite=["fgsm"], clean_floor=0)
    assert report.clean_accuracy < 0.1


# --- suites -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SUITES))
def test_suites_climb_more_than_one_loss_and_search_without_gradients(name: str) -> None:
    stages = SUITES[name].stages
    assert any(stage.saturating_loss for stage in stages)
    assert any(not stage.saturating_loss and stage.family == "iterative" for stage in stages)
    assert any(stage.family == "query" and stage.full_on_subset for stage in stages)
    for stage in stages:
        attack = stage.attack()
        assert (attack.info.sees == "gradient") == (stage.family in ("single-step", "iterative"))
        fields = attack.settings()
        assert stage.saturating_loss == (fields.get("loss") == "ce" and "queries" not in fields)


def test_standard_has_all_of_autoattacks_attacks() -> None:
    specs = {stage.title: stage.attack().settings() for stage in SUITES["standard"].stages}
    assert "APGD-CE" in specs
    assert "FAB" in specs
    assert (specs["APGD-T"]["steps"], specs["APGD-T"]["targets"]) == (100, 9)
    assert specs["Square"]["queries"] == 5000


def test_full_gives_up_nobody() -> None:
    assert all(stage.min_progress is None for stage in SUITES["full"].stages)
