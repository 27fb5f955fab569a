"""Searches in bfloat16: coarser on the way, and never part of a verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.api import plan_audit
from sparring.audit.cascade import precision
from sparring.audit.cascade.precision import Lowered, in_precision
from sparring.audit.suites.find import suite
from sparring.cli.audit.options import AuditOptions, InsteadOptions
from sparring.cli.options import built, flat
from sparring.errors import InputError

THREAT = ("Linf", 0.3)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=16).tensors()


class Liar(nn.Module):
    """Tells the truth in float32 and, where autocast is on, always another class."""

    def __init__(self, net: nn.Module, shift: int) -> None:
        super().__init__()
        self.net, self.shift = net, shift

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits.roll(self.shift, 1) if torch.is_autocast_enabled("cpu") else logits


def test_a_lowered_model_answers_in_bfloat16_and_float32_tensors(digits: tuple[Tensor, Tensor]) -> None:
    model = sp.load_model("mnist-cnn")
    x = digits[0].clone().requires_grad_()
    full, low = model.logits(x), Lowered(model).logits(x)
    assert low.dtype == torch.float32
    assert 0 < float((low - full).detach().abs().max() / full.detach().abs().max()) < 0.03
    slopes = [torch.autograd.grad(logits.logsumexp(1).sum(), x, retain_graph=True)[0] for logits in (full, low)]
    assert float(torch.cosine_similarity(*(slope.flatten(1) for slope in slopes)).min()) > 0.98


@pytest.mark.long
@pytest.mark.parametrize("shift", [0, 3])
def test_verdicts_are_those_of_full_precision_whatever_bfloat16_says(shift: int, digits: tuple[Tensor, Tensor]) -> None:
    net = Liar(sp.load_model("mnist-cnn-pgd").net, shift)
    stages = ["fgsm", "pgd:steps=10,loss=margin"]
    full, low = (
        sp.audit(net, digits, THREAT, suite=stages, precision=name, clean_floor=0) for name in ("float32", "bfloat16")
    )
    assert low.worst.success.tolist() == full.worst.success.tolist()
    assert low.confirmed.hits == low.confirmed.of
    if shift:  # every search in bfloat16 ends at once with a success that is none, and is made again
        assert torch.equal(low.worst.x_adv, full.worst.x_adv)
    spent = [int((one.attacks[1].result.queries).sum()) for one in (full, low)]
    assert spent[0] < spent[1] <= spent[0] + 3 * len(digits[0])


def test_only_attacks_that_go_by_gradients_alone() -> None:
    stages = suite("standard").stages
    lowered = {stage.title for stage in in_precision(stages, "bfloat16", None) if stage.precision}
    assert {"FGSM", "APGD-CE", "APGD-T", "FAB"} <= lowered
    assert not lowered & {"Random noise", "Square", "Square, short", "APGD-Square (CE)"}
    assert in_precision(stages, "float32", None) == stages


@pytest.mark.parametrize("able", [True, False])
def test_auto_goes_by_the_processor_and_the_plan_says_which(
    able: bool, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "pays", lambda device: able)
    model = sp.load_model("mnist-cnn")
    auto, low = (plan_audit(model, digits, THREAT, suite="quick", precision=name) for name in ("auto", "bfloat16"))
    assert auto.settings["precision"] == ("bfloat16" if able else "float32")
    assert (auto.identity() == low.identity()) is able


def test_another_precision_is_refused(digits: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="there are float32, bfloat16, auto"):
        sp.audit(sp.load_model("mnist-cnn"), digits, THREAT, suite="quick", precision="int8")


def test_the_command_is_the_same_whoever_reports(tmp_path: Path, digits: tuple[Tensor, Tensor]) -> None:
    written = {"model": "mnist-cnn", "shard_size": 5, "seed": 3, "eps": "0.3", "precision": "bfloat16"}
    given = built(AuditOptions, written)
    given.keep(tmp_path)
    kept = InsteadOptions().of(tmp_path)
    assert {name: flat(kept)[name] for name in written} == written
    report = sp.audit(sp.load_model("mnist-cnn"), (digits[0][:2], digits[1][:2]), THREAT, suite=["fgsm"])
    first, second = (options.on(report).command for options in (given, kept))
    assert (
        first
        == "sparring audit --model mnist-cnn --data mnist5k --eps 0.3 --precision bfloat16 --shard-size 5 --seed 3"
    )
    assert second == first
