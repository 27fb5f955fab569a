"""Scores that are made of something else after the net: its own, inside, are climbed whatever the probes say.

Gradients are true, the margin comes down to 0 at the border, and still attacks on the answer are led aside.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.cascade.hidden import other_scores
from sparring.audit.probes.probe import Probes
from sparring.audit.run.prepare import prepare

SIGNS = torch.randn(784, generator=torch.Generator().manual_seed(3)).sign()
SUITE = ["fgsm", "pgd:steps=20,loss=margin", "apgd-dlr:steps=20", "square:queries=50"]


def net(name: str) -> nn.Module:
    found = sp.load_model(name).net
    assert isinstance(found, nn.Module)
    return found


class Behind(nn.Module):
    """A net whose margin is shown as `shown` makes it of the margin and the images; the classes stay."""

    def __init__(self, inner: nn.Module, shown: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.inner = inner
        self.shown = shown

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.inner(x)
        top = logits.topk(2, 1)
        margin = top.values[:, 0] - top.values[:, 1]
        return logits + F.one_hot(top.indices[:, 0], 10) * (self.shown(margin, x) - margin)[:, None]


def blown_up(margin: Tensor, x: Tensor) -> Tensor:
    """By a steep function of the picture that has nothing to do with its class."""
    return margin * F.softplus(8 + 0.4 * (x.flatten(1) @ SIGNS))


def of_another_net(margin: Tensor, x: Tensor) -> Tensor:
    """Another net's, until shortly before the border."""
    top = net("mnist-cnn-pgd")(x).topk(2, 1).values
    return torch.tanh(margin) * (1 + top[:, 0] - top[:, 1])


def by_contrast(margin: Tensor, x: Tensor) -> Tensor:
    """Large where the picture is grey, as attacked ones are."""
    return margin * (0.1 + 40 * (x * (1 - x)).flatten(1).mean(1)).exp()


@pytest.mark.long
@pytest.mark.parametrize("shown", [blown_up, of_another_net, by_contrast])
def test_scores_inside_are_climbed(shown: Callable[[Tensor, Tensor], Tensor]) -> None:
    x, y = sp.load_data("mnist5k", n=16).tensors()
    threat = ("L2", 2.0)
    bare = sp.audit(net("mnist-cnn-fast"), (x, y), threat, suite=SUITE)
    model = Behind(net("mnist-cnn-fast"), shown).eval()
    report = sp.audit(model, (x, y), threat, suite=SUITE)
    assert any(one.stage.wrapper.startswith("inner:") for one in report.attacks)
    assert report.robust_accuracy <= bare.robust_accuracy + 1 / 16


class Together(nn.Module):
    """The mean of two nets, on another scale."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList([net("mnist-cnn-fast"), net("mnist-cnn-pgd")])

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([part(x) for part in self.parts]).mean(0) * 3


class Times(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 7 * x - 3


def probed(model: nn.Module) -> Probes:
    x, y = sp.load_data("mnist5k", n=24).tensors()
    plan = plan_audit(model.eval(), (x, y), ("Linf", 0.3), suite=SUITE)
    return prepare(plan).probes


def test_scores_on_another_scale_are_the_same_scores() -> None:
    assert probed(nn.Sequential(net("mnist-cnn-fast"), Times())).inner is None
    assert probed(net("mnist-cnn-fast")).inner is None


def test_a_mean_of_nets_is_not_accused() -> None:
    x, y = sp.load_data("mnist5k", n=16).tensors()
    report = sp.audit(Together().eval(), (x, y), ("Linf", 0.3), suite=SUITE)
    assert report.status == "no-claim", report.verdict


def test_few_images_say_nothing() -> None:
    x, _ = sp.load_data("mnist5k", n=4).tensors()
    model = sp.wrap(Behind(net("mnist-cnn-fast"), blown_up).eval())
    probes = probed(net("mnist-cnn-fast"))
    assert other_scores(model, x, sp.Threat("Linf", 0.3), 0, probes) == probes
