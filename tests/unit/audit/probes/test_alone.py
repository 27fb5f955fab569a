"""Models that look at the other images of a batch: each is judged by what it says of one image alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.checks.run import early_doubts
from sparring.audit.probes.asked import Alone
from sparring.audit.probes.eval_mode import in_eval_mode
from sparring.audit.report.report import Report
from sparring.audit.run.forecast import forecast
from sparring.audit.run.prepare import prepare
from sparring.audit.run.verify import verify

THREAT = sp.Threat("Linf", 0.1)
SUITE = ["fgsm", "pgd:loss=margin,steps=10"]


def net(name: str) -> nn.Module:
    found = sp.load_model(name).net
    assert isinstance(found, nn.Module)
    return found


class Company(nn.Module):
    """A plain net for an image alone; in company a robust one, for the rows and as far as `shield` [b] says."""

    def __init__(self, shield: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.plain = net("mnist-cnn")
        self.robust = net("mnist-cnn-fast")
        self.shield = shield

    def forward(self, x: Tensor) -> Tensor:
        share = self.shield(x).view(-1, 1)
        answer: Tensor = share * self.robust(x) + (1 - share) * self.plain(x)
        return answer


def any_looks_attacked(x: Tensor) -> Tensor:
    """All of a batch in which some image has many grey pixels."""
    grey = ((x > 0.02) & (x < 0.98)).flatten(1).sum(1) > 250
    return torch.full((len(x),), float(len(x) > 1 and bool(grey.any())))


def all_but_the_first(x: Tensor) -> Tensor:
    return (torch.arange(len(x)) > 0).float()


def images_differ(x: Tensor) -> Tensor:
    """A statistic of the batch: how far its images are from their mean."""
    return torch.tanh(100 * (x - x.mean(0)).flatten(1).abs().mean(1).detach())


class Drawing(Company):
    """Noise in company alone."""

    def forward(self, x: Tensor) -> Tensor:
        noise = 1e-3 * torch.randn(len(x), 1) if len(x) > 1 else 0.0
        answer: Tensor = super().forward(x) + noise
        return answer


MASKS: dict[str, Callable[[], nn.Module]] = {
    "any looks attacked": lambda: Company(any_looks_attacked),
    "all but the first": lambda: Company(all_but_the_first),
    "the images differ": lambda: Company(images_differ),
    "random in company": lambda: Drawing(images_differ),
}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    x, y = sp.load_data("mnist5k", n=8).tensors()
    return x, y


def alone(mask: nn.Module, x: Tensor, y: Tensor, threat: sp.Threat = THREAT) -> int:
    """The truth: how many images survive a climb that shows the model nothing else."""
    model, climb = sp.wrap(mask.eval()), sp.attack("pgd:loss=margin,steps=20")
    found = [climb(model, x[i : i + 1], y[i : i + 1], threat) for i in range(len(x))]
    return sum(int((~one.success).sum()) for one in found)


def audit(mask: nn.Module, digits: tuple[Tensor, Tensor], **options: object) -> Report:
    return sp.audit(mask.eval(), digits, THREAT, suite=SUITE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "what", [one if one == "all but the first" else pytest.param(one, marks=pytest.mark.long) for one in MASKS]
)
def test_the_figure_is_that_of_images_alone(what: str, digits: tuple[Tensor, Tensor]) -> None:
    mask = MASKS[what]()
    truth, report = alone(mask, *digits), audit(mask, digits)
    robust = sum(1 for row in report.samples if row["status"] == "standing")
    assert truth <= 4
    assert robust <= truth + 1
    doubt = next(doubt for doubt in report.doubts if doubt.code == "batch-dependent")
    assert "at the cost of a forward pass" in doubt.message
    assert report.probes.alone
    assert report.confirmed.hits == report.confirmed.of


def robust_at_first(x: Tensor) -> Tensor:
    """So the first half of these batches, and whatever comes alone."""
    return (torch.arange(len(x)) < 4).float()


class HardLabels(Company):
    """What is not robust gives its class alone: no gradient leads anywhere."""

    def forward(self, x: Tensor) -> Tensor:
        share = self.shield(x).view(-1, 1)
        plain = nn.functional.one_hot(self.plain(x).argmax(1), 10).float()
        answer: Tensor = share * self.robust(x) + (1 - share) * plain
        return answer


@pytest.mark.long
@pytest.mark.parametrize("make", [Company, HardLabels])
def test_what_fools_in_company_counts_where_a_model_is_robust_alone(
    make: type[Company], digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    mask, threat = make(robust_at_first).eval(), sp.Threat("Linf", 0.2)
    survive = alone(mask, *digits, threat)
    report = sp.audit(mask, digits, threat, suite=SUITE, folder=tmp_path / "run")
    assert survive >= 6
    assert report.probes.alone
    assert report.robust.hits <= 1  # after others, none is among the first
    assert report.confirmed.hits == report.confirmed.of
    report.save(tmp_path / "run")
    found = verify(tmp_path / "run", sp.wrap(mask), digits)
    assert found.holds, found.findings


@pytest.mark.long
def test_a_run_in_shards_is_asked_so_throughout_and_verifies(tmp_path: Path, digits: tuple[Tensor, Tensor]) -> None:
    model, data = sp.wrap(Company(any_looks_attacked).eval()), (digits[0][:8], digits[1][:8])
    whole = sp.audit(model, data, THREAT, suite=["pgd:loss=margin,steps=10"])
    run = tmp_path / "run"
    parts = sp.audit(model, data, THREAT, suite=["pgd:loss=margin,steps=10"], folder=run, shard_size=4)
    assert parts.samples == whole.samples
    parts.save(run)
    found = verify(run, model, data)
    assert found.holds, found.findings


def test_an_honest_net_is_asked_as_before(digits: tuple[Tensor, Tensor]) -> None:
    report = audit(net("mnist-cnn-pgd"), digits)
    assert not report.probes.alone
    assert report.probes.conduct is not None
    assert report.probes.conduct.crowded == 0.0


def any_of_many_looks_attacked(x: Tensor) -> Tensor:
    """As `any_looks_attacked`, in batches as only attacks show them."""
    return any_looks_attacked(x) * float(len(x) > 64)


def test_a_mask_that_waits_for_large_batches_is_seen() -> None:
    data = sp.load_data("mnist5k", n=80).tensors()
    plan = plan_audit(Company(any_of_many_looks_attacked).eval(), data, THREAT, suite=["fgsm"])
    head = prepare(plan)
    assert head.probes.conduct is not None
    assert head.probes.conduct.crowded
    assert isinstance(plan.seen(head.probes), Alone)


class Refusing(nn.Module):
    """Batch statistics that one image alone does not have."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net("mnist-cnn")

    def forward(self, x: Tensor) -> Tensor:
        if len(x) < 2:
            raise ValueError("expected more than 1 value per channel")
        answer: Tensor = self.net(x) * x.std(0).mean()
        return answer


class LostAlone(nn.Module):
    """One class for whatever comes alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net("mnist-cnn")

    def forward(self, x: Tensor) -> Tensor:
        answer: Tensor = self.net(x)
        return answer if len(x) > 1 else answer * 0 + torch.eye(10)[:1]


@pytest.mark.parametrize("make", [Refusing, LostAlone])
def test_what_cannot_be_asked_alone_is_asked_in_company(
    make: Callable[[], nn.Module], digits: tuple[Tensor, Tensor]
) -> None:
    plan = plan_audit(make().eval(), digits, sp.Threat("Linf", 1e-3), suite=["fgsm"])
    head = prepare(plan)
    assert plan.seen(head.probes) is plan.model
    assert head.clean.accuracy.hits > 6
    (doubt,) = (one for one in early_doubts(head.probes, 10) if one.code == "batch-dependent")
    assert "asked for in batches" in doubt.message


def test_a_forecast_counts_a_pass_for_each_image(digits: tuple[Tensor, Tensor]) -> None:
    sizes: dict[str, list[int]] = {"honest": [], "mask": []}

    class Counted(Company):
        def __init__(self, kind: str) -> None:
            super().__init__(images_differ if kind == "mask" else lambda x: torch.zeros(len(x)))
            self.kind = kind

        def forward(self, x: Tensor) -> Tensor:
            sizes[self.kind].append(len(x))
            answer: Tensor = super().forward(x)
            return answer

    for kind in sizes:
        forecast(plan_audit(Counted(kind).eval(), digits, THREAT, suite=["fgsm", "pgd:steps=3"]), 5.0)
    assert max(sizes["mask"][-20:]) == 1
    assert max(sizes["honest"][-20:]) > 1


def test_each_image_is_shown_alone_and_gets_its_slope() -> None:
    sizes: list[int] = []

    def model(x: Tensor) -> Tensor:
        sizes.append(len(x))
        return x.flatten(1)[:, :3] ** 2

    x = torch.rand(4, 1, 2, 2, generator=torch.Generator().manual_seed(0)).requires_grad_()
    one = Alone(sp.wrap(model))
    with one.guard():
        logits = one.logits(x)
        assert torch.equal(logits, x.flatten(1)[:, :3] ** 2)
        (slope,) = torch.autograd.grad(logits.sum(), x)
    assert sizes == [1] * 4
    assert torch.allclose(slope.flatten(1)[:, :3], 2 * x.flatten(1)[:, :3])
    assert one.exposed() is one
    assert one.surrogate() is None


def test_in_eval_mode_what_is_behind_is_in_eval_mode() -> None:
    model = Alone(sp.wrap(nn.Sequential(nn.Flatten(), nn.Dropout(0.5)).train(), mode="as_is"))
    with in_eval_mode(model).guard():
        assert torch.equal(in_eval_mode(model).logits(torch.ones(2, 3)), torch.ones(2, 3))
    with model.guard():
        assert not torch.equal(model.logits(torch.ones(8, 9)), torch.ones(8, 9))
