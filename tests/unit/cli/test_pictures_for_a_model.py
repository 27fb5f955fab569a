"""Folders of pictures are read as the model takes them: colours and size from its configuration or its first layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console
from torch import nn

import sparring as sp
from sparring.cli.loading import LoadOptions
from sparring.errors import InputError
from sparring.zoo.takes import Takes, taken_by

NETS = """
import sparring as sp
from torch import nn

def linear():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 2))

def ten():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

def named():
    return sp.wrap(ten(), classes=["plane", "car", "cat", "deer", "dog", "frog", "horse", "ship", "truck", "bird"])

def conv():
    return nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(2 * 24 * 24, 2))

def pooled():
    return nn.Sequential(nn.Conv2d(1, 2, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))

def colour():
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))

def odd():
    return nn.Sequential(nn.Flatten(), nn.Linear(77, 2))
"""


@pytest.fixture
def nets(tmp_path: Path) -> Path:
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path / "nets.py"


def pictures(root: Path, sides: tuple[int, ...] = (40, 40), classes: tuple[str, ...] = ("cat", "dog")) -> Path:
    for name in classes:
        for i, side in enumerate(sides):
            path = root / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng(i).integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(path)
    return root


def load(nets: Path, factory: str, data: str) -> tuple[torch.Tensor, torch.Tensor, str]:
    log = Console(record=True, width=200)
    _, images = LoadOptions(model=f"{nets}:{factory}", data=data).load(log)
    return *images.tensors(), log.export_text()


@pytest.mark.parametrize("factory", ["linear", "conv"])
@pytest.mark.parametrize("sides", [(40, 40), (30, 50), (28, 28)])
def test_colour_pictures_suit_a_small_grey_net(
    nets: Path, tmp_path: Path, factory: str, sides: tuple[int, int]
) -> None:
    root = pictures(tmp_path / "pictures", sides)
    x, y, said = load(nets, factory, f"folder:{root}")
    assert x.shape == (4, 1, 28, 28)
    assert torch.equal(x, sp.load_data(f"folder:{root}?gray=1&size=28").tensors()[0])
    assert y.tolist() == [0, 1, 0, 1]
    assert f"folder:{root}?gray=1" in said, "what was done is said, as what one could have written"
    assert len(said.strip().splitlines()) == 1


def test_the_configuration_of_a_model_says_it_too(tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures", classes=tuple("0123456789"))
    _, images = LoadOptions(model="mnist-cnn", data=f"folder:{root}").load()
    assert images.shape == (1, 28, 28)


def test_a_net_that_takes_any_size_gets_the_pictures_as_they_are(nets: Path, tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    x, _, said = load(nets, "pooled", f"folder:{root}")
    assert x.shape == (4, 1, 40, 40)
    assert "?gray=1)" in said
    with pytest.raises(InputError, match=r"several sizes.*folder:.*\?size=\d+"):
        load(nets, "pooled", f"folder:{pictures(tmp_path / 'mixed', (30, 50))}")


def test_what_the_user_says_is_not_overruled(nets: Path, tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    x, _, said = load(nets, "colour", f"folder:{root}")
    assert x.shape == (4, 3, 16, 16)
    assert "?size=16)" in said
    with pytest.raises(InputError, match=r"cannot take images of shape \(1, 16, 16\).*\?size=16"):
        load(nets, "colour", f"folder:{root}?gray=1")
    with pytest.raises(InputError, match=r"cannot take images of shape \(1, 20, 20\).*\?gray=1&size=28"):
        load(nets, "linear", f"folder:{root}?size=20")


def test_where_nothing_fits_the_options_are_named(nets: Path, tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures")
    with pytest.raises(InputError, match=r"cannot take images of shape \(3, 40, 40\).*\?gray=1.*\?size=64"):
        load(nets, "odd", f"folder:{root}")


def test_some_of_the_classes_can_be_audited(nets: Path, tmp_path: Path) -> None:
    root = pictures(tmp_path / "pictures", classes=("dog", "cat"))
    _, y, _ = load(nets, "named", f"folder:{root}")
    assert y.tolist() == [2, 4, 2, 4], "by name"
    with pytest.raises(InputError, match=r"2 classes \(cat, dog\).* 10.*labels="):
        load(nets, "ten", f"folder:{root}")
    _, y, _ = load(nets, "ten", f"folder:{root}?labels=2,4")
    assert y.tolist() == [2, 4, 2, 4]
    _, y, _ = load(nets, "ten", f"folder:{root}?classes=dog&labels=4")
    assert y.tolist() == [4, 4]
    for odd in ("labels=2", "labels=2,2", "labels=2,x", "labels=-1,2", "labels=2,4,6"):
        with pytest.raises(sp.SparringError, match="labels="):
            load(nets, "ten", f"folder:{root}?{odd}")


def test_folders_called_by_numbers_have_these_numbers_where_the_model_has_such_names(tmp_path: Path) -> None:
    root = pictures(tmp_path / "digits", (28,), ("3", "7"))
    _, images = LoadOptions(model="mnist-cnn", data=f"folder:{root}").load()
    assert images.labels.tolist() == [3, 7]


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), Takes(1, 28, 28)),
        (nn.Sequential(nn.Flatten(), nn.Linear(3072, 10)), Takes(3, 32, 32)),
        (nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), Takes(3, None, None)),
        (nn.Sequential(nn.Flatten(), nn.Linear(77, 10)), Takes(None, None, None)),
        (nn.Sequential(nn.Conv2d(4, 2, 3)), Takes(None, None, None)),
        (lambda x: x, Takes(None, None, None)),
    ],
)
def test_what_a_net_takes_is_read_from_its_first_layer(net: nn.Module, expected: Takes) -> None:
    assert taken_by(sp.wrap(net)) == expected
    assert taken_by(sp.wrap(net, input_size=(3, 8, 9))) == Takes(3, 8, 9)


def test_the_number_of_means_is_that_of_channels() -> None:
    assert taken_by(sp.wrap(lambda x: x, mean=[0.5, 0.5, 0.5], std=1.0)) == Takes(3, None, None)
