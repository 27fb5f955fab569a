"""What commands work on, and mistakes in it: one line each, found out before the work."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import sparring as sp
from sparring.batches import target_policy
from sparring.cli import main
from sparring.cli.loading import LoadOptions
from sparring.errors import InputError

NETS = """
import sparring as sp
from torch import nn

def build():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

def signed():
    return sp.wrap(build(), box=(-1, 1))

def small():
    return nn.Sequential(nn.Flatten(), nn.Linear(100, 10))

def asked():
    net = sp.load_model("mnist-cnn")
    return sp.wrap_callable(net.labels, 10, "labels", name="asked", input_size=(1, 28, 28))
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def test_model_and_images(nets: Path) -> None:
    options = LoadOptions(model=f"{nets}:build", n=3, mean="0.5", std="0.5", defense="bits:4")
    model, images = options.load()
    assert (len(images), model.name) == (3, "nets.py:build behind bits:4")
    assert options.title == f"loading {nets}:build and mnist5k"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "say which model: --model mnist-cnn"),
        ({"model": "NETS:signed"}, r"takes pixels in the box \(-1, 1\), but images from mnist5k are in \(0, 1\)"),
        ({"model": "NETS:small"}, r"cannot take images of shape \(1, 28, 28\)"),
        ({"model": "NETS:build", "mean": "much"}, "--mean is 'much'"),
        ({"model": "NETS:build", "device": "nowhere"}, "nowhere"),
    ],
)
def test_mistakes(options: dict[str, str], says: str, nets: Path) -> None:
    given = {name: value.replace("NETS", str(nets)) for name, value in options.items()}
    with pytest.raises(InputError, match=says):
        LoadOptions(n=2, **given).load()  # type: ignore[arg-type]


def test_a_twin_gives_gradients_and_the_model_the_verdicts(nets: Path) -> None:
    model, images = LoadOptions(model=f"{nets}:asked", twin="mnist-cnn", n=4).load()
    assert model.access == "gradient"
    assert model.name == "asked with the gradients of mnist-cnn"
    x, y = images.tensors()
    result = sp.attack("pgd:steps=20")(model, x, y, ("Linf", 0.3))
    assert bool(result.success.all())
    assert bool((sp.load_model("mnist-cnn").labels(result.x_adv) != y).all())


def test_a_superscript_is_no_class() -> None:
    with pytest.raises(InputError, match="target '²' is not known"):
        target_policy("²", sp.load_model("mnist-cnn"))


def test_radii_that_are_texts_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "r.npy", np.array(["0.1"] * 4))
    words = ["audit", "--model", "mnist-cnn", "--n", "4", "--eps", "0.1", "--certified", str(tmp_path / "r.npy")]
    monkeypatch.setattr(sys, "argv", ["sparring", *words])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    assert "holds no certified radii" in capsys.readouterr().err
