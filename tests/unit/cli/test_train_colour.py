"""`sparring train` on pictures in colour: ResNet-20, augmented, down to its card and back into a model."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner, Result

import sparring as sp
from sparring.cli import app
from sparring.defenses.training import fit

PUBLISHED = Path(os.environ.get("SPARRING_DATA", "nowhere")) / "published" / "cifar10-test200.npz"


def tinted(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Noise of 16 x 16 with a tint: red, green or blue. uint8 [count, 3, 16, 16] and int64 [count]."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(count) % 3
    x = torch.rand(count, 3, 16, 16, generator=generator) * 0.6
    x[torch.arange(count), y] += 0.3
    return (x * 255).to(torch.uint8), y


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    folder = tmp_path_factory.mktemp("colour")
    (x, y), (x_test, y_test) = tinted(96, 0), tinted(30, 1)
    np.savez(folder / "tints.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    arguments = (
        *("--net", "resnet20", "--data", f"npz:{folder / 'tints.npz'}", "--augment", "flip,crop", "--recipe", "fast"),
        *("--optimizer", "sgd:weight_decay=5e-4", "--lr", "0.1", "--schedule", "cosine", "--batch-size", "16"),
        *("--eps", "8/255", "--epochs", "4", "--check", "0", "--device", "cpu", "--out", str(folder / "run")),
    )
    return folder / "run", CliRunner().invoke(app, ["train", *arguments])


def test_it_learns_and_the_card_says_how(trained: tuple[Path, Result]) -> None:
    out, result = trained
    assert result.exit_code == 0, result.output
    assert "changed at random: crop,flip" in result.stdout
    card = json.loads((out / "card.json").read_text())
    assert card["net"] == {"name": "resnet20", "in_channels": 3, "num_classes": 3, "size": 16, "parameters": 269_267}
    assert card["training"]["augment"] == "crop,flip"
    assert card["training"]["optimizer"] == "sgd:weight_decay=5e-4"
    assert card["metrics"]["clean"]["accuracy"] > 0.8, "a third is chance"
    assert card["training"]["recipe"]["threat"]["eps"] == pytest.approx(8 / 255)


def test_the_folder_is_a_model_that_can_be_attacked(trained: tuple[Path, Result]) -> None:
    model = sp.load_model(str(trained[0]))
    assert model.input_size == (3, 16, 16)
    x, y = tinted(12, 2)
    result = sp.PGD(steps=5)(model, x / 255, y, sp.Threat("Linf", 0.5))
    assert float(result.success.float().mean()) > 0.5, "half of the range hides any tint"


@pytest.mark.skipif(not PUBLISHED.exists(), reason="SPARRING_DATA does not name a folder with 200 pictures of CIFAR-10")
@pytest.mark.long
def test_it_learns_photographs_by_heart() -> None:
    """All that 60 photographs can show: the loss falls, with augmentation too. It says nothing about accuracy."""
    data = sp.load_data(f"npz:{PUBLISHED}", n=60)
    net = sp.zoo.nets.make_net("resnet20", in_channels=3, size=32)
    fitted = fit(
        net, data, epochs=8, batch_size=20, optimizer="sgd", lr=0.05, schedule="cosine", augment="crop,flip",
        device="cpu",
    )  # fmt: skip
    assert fitted.history[-1]["loss"] < 0.8 * fitted.history[0]["loss"]
    assert fitted.history[-1]["accuracy"] > 0.3, "a tenth is chance"
