"""Models that look at the other images of a batch: each is judged by what it says of one image alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.probes.asked import Alone
from sparring.audit.report.report import Report
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
    x, y = sp.load_data("mnist5k", n=16).tensors()
    return x, y


def alone(mask: nn.Module, x: Tensor, y: Tensor) -> int:
    """The truth: how many images survive a climb that shows the model nothing else."""
    model, climb = sp.wrap(mask.eval()), sp.attack("pgd:loss=margin,steps=20")
    found = [climb(model, x[i : i + 1], y[i : i + 1], THREAT) for i in range(len(x))]
    return sum(int((~one.success).sum()) for one in found)


def audit(mask: nn.Module, digits: tuple[Tensor, Tensor], **options: object) -> Report:
    return sp.audit(mask.eval(), digits, THREAT, suite=SUITE, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", MASKS)
def test_the_figure_is_that_of_images_alone(what: str, digits: tuple[Tensor, Tensor]) -> None:
    mask = MASKS[what]()
    truth, report = alone(mask, *digits), audit(mask, digits)
    robust = sum(1 for row in report.samples if row["status"] == "standing")
    assert truth <= 8
    assert robust <= truth + 1
    doubt = next(doubt for doubt in report.doubts if doubt.code == "batch-dependent")
    assert "at the cost of a forward pass" in doubt.message
    assert report.probes.alone
    assert report.confirmed.hits == report.confirmed.of
