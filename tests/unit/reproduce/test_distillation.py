"""`sparring reproduce distillation`, on nets that have learned little: protocol, defects, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from typer.testing import CliRunner

from sparring.attacks.gradient.fgsm import FGSM
from sparring.cli import app
from sparring.data import load_data
from sparring.model import wrap
from sparring.reproduce.distillation import zero_gradients
from sparring.reproduce.distillation_protocol import Cooled, correct, one_gradient, published
from sparring.zoo.nets import make_net


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return load_data("mnist5k", "test", 40).tensors()


@pytest.fixture
def linear() -> nn.Module:
    source = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    for weight in net.parameters():
        weight.data = torch.randn(weight.shape, generator=source) / 10
    return net


def test_without_dropout_the_published_protocol_is_plain_fgsm(linear: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    y = linear(x).argmax(1).where(torch.arange(40) % 4 > 0, y)  # three in four are right
    point = x.clone().requires_grad_()
    cross_entropy(linear(point), y, reduction="sum").backward()
    assert point.grad is not None
    moved = (x + 0.02 * point.grad.sign()).clamp(0, 1)
    right = linear(x).argmax(1) == y
    after = right & (linear(moved).argmax(1) == y)
    found = published(linear, x, y, 0.02, seed=0)
    assert found == (float(right.double().mean()), float(after.double().mean()))
    assert 0 < found[1] < found[0]
    assert one_gradient(wrap(linear), x, y, 0.04, 0.5) == found[1]


def test_dropout_makes_the_published_figures_random_and_eval_mode_does_not(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    net = make_net("net-f-half", seed=1)
    y = net.eval()(x).argmax(1)
    net.train()
    state = torch.get_rng_state()
    with_it = {published(net, x, y, 0.0, seed=seed) for seed in range(4)}
    without = {published(net, x, y, 0.0, seed=seed, dropout=False) for seed in range(4)}
    assert len(with_it) > 1
    assert without == {(1.0, 1.0)}
    assert published(net, x, y, 0.1, seed=3) == published(net, x, y, 0.1, seed=3), "the seed decides"
    assert net.training, "the mode is put back"
    assert torch.equal(torch.get_rng_state(), state)


def test_a_saturated_softmax_hides_the_gradient_and_a_cooled_one_shows_it(
    linear: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, _ = digits
    linear[1].weight.data *= 1000  # type: ignore[union-attr,operator]
    y = linear(x).argmax(1)
    assert zero_gradients(linear, x, y) > 0.9
    assert zero_gradients(Cooled(linear, 1000.0), x, y) == 0
    assert correct(FGSM(), linear, x, y, 0.1).robust_accuracy() > 0.9
    assert correct(FGSM(), linear, x, y, 0.1, temperature=1000.0).robust_accuracy() < 0.1


@pytest.mark.long
def test_the_command_leaves_nets_figures_audits_and_the_whole_table(tmp_path: Path) -> None:
    out, suite = tmp_path / "run", tmp_path / "small.yaml"
    suite.write_text(
        "receipt: false\nstages:\n  - fgsm\n  - pgd:steps=5\n  - apgd-dlr:steps=5\n  - square:queries=20\n"
    )
    arguments = ["--data", "mnist5k", "--limit", "120", "--epochs", "1", "--batch-size", "40", "--n", "50"]
    arguments += ["--suite", str(suite), "--audited", "8", "--out", str(out), "--json", str(tmp_path / "all.json")]
    result = CliRunner().invoke(app, ["reproduce", "distillation", *arguments])
    assert result.exit_code == 0, result.output
    found = json.loads((tmp_path / "all.json").read_text())
    assert [one["number"] for one in found["defects"]] == [1, 2, 3, 4, 5, 6, 7]
    assert set(found["audits"]) == {"undefended", "published", "distilled"}
    assert set(found["claimed"]["published"]) == {"FGSM", "I-FGSM", "MI-FGSM"}
    for name in ("figure-3.10.png", "figure-3.11.png", "truth.png", "audit-published.html", "distillation.json"):
        assert (out / name).stat().st_size > 1000
    assert {path.name for path in (out / "nets").iterdir()} == {"undefended", "teacher", "published", "distilled"}
    assert "The truth" in result.output
