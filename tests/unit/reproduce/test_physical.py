"""`sparring reproduce physical`, with a small random net in place of an ImageNet classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

import sparring.cli.reproduce.physical  # noqa: F401  (enters its command into the app)
from sparring.blocks.views.view_success import view_success
from sparring.cli.app import app
from sparring.errors import InputError, SparringError
from sparring.model import Model
from sparring.reproduce.physical import physical
from sparring.reproduce.physical_figure import draw
from sparring.threat import Targeted
from sparring.zoo.photos import Photo

SIZE = 16
CLASSES = ("tabby", "sock", "crane", "cup", "espresso")
STAND_IN = f"""
import torch
from torch import nn
from sparring import wrap

def build():
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * {SIZE - 2} ** 2, 5))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator) * 3 / p[0].numel() ** 0.5)
    return wrap(net, input_size=(3, {SIZE}, {SIZE}), classes={CLASSES!r}, name="stand-in")
"""
QUICK = ("stadv:steps=5,search=1", "lavan:steps=20,size=0.3", "rp2:steps=5,find=2,copies=2", "eot:steps=5,copies=2")


def stand_in() -> Model:
    scope: dict[str, object] = {}
    exec(STAND_IN, scope)
    return scope["build"]()  # type: ignore[operator, no-any-return]


def photo(name: str, seed: int) -> Photo:
    return Photo(name, torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)))


def target_for(model: Model, x: Tensor) -> int:
    """A class that the model sees in none of the pictures."""
    seen = set(model.labels(x).tolist())
    return next(number for number in range(len(CLASSES)) if number not in seen)


def test_exhibits_say_what_a_fresh_look_says() -> None:
    model, photos = stand_in(), [photo("one", 1), photo("two", 2)]
    x = torch.stack([p.image for p in photos])
    aim, truth = target_for(model, x), model.labels(x)
    heard: list[str] = []
    rooms = physical(model, photos, attacks=QUICK, target=str(aim), draws=10, eps=0.1, say=heard.append)
    assert [room[0].name for room in rooms] == ["stadv", "lavan", "rp2", "eot"]
    assert len(heard) == 5
    for room in rooms:
        images = torch.stack([exhibit.image for exhibit in room])
        rates = view_success(model, images, Targeted(aim), "2d", draws=10)
        assert [exhibit.view_success for exhibit in room] == pytest.approx(rates.tolist())
        clean = 1 - view_success(model, x, truth, "2d", draws=10)
        assert [exhibit.clean_views for exhibit in room] == pytest.approx(clean.tolist())
        for exhibit, label in zip(room, model.labels(images).tolist(), strict=True):
            assert exhibit.answer.number == label
            assert exhibit.fooled == (label == aim)
            assert exhibit.target == CLASSES[aim]
            assert len(exhibit.views) == 3
            assert exhibit.record()["view_success"] == exhibit.view_success
    lavan, eot = rooms[1], rooms[3]
    assert all(exhibit.changed <= 0.35 for exhibit in lavan), "a patch of three tenths"
    assert all(exhibit.largest <= 0.1 + 1e-6 for exhibit in eot), "a ball of radius 0.1"
    assert any(exhibit.fooled for room in rooms for exhibit in room)


def test_the_views_shown_are_the_first_of_those_counted() -> None:
    model, photos = stand_in(), [photo("one", 1)]
    aim = target_for(model, photos[0].image[None])
    ((exhibit,),) = physical(model, photos, attacks=["eot:steps=5,copies=2"], target=str(aim), draws=3, eps=0.3)
    assert exhibit.view_success == pytest.approx(sum(view.fooled for view in exhibit.views) / 3)


def test_figure_is_a_small_palette_png(tmp_path: Path) -> None:
    model, red = stand_in(), Photo("red", torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, SIZE, SIZE).clone())
    aim = target_for(model, red.image[None])
    (room,) = physical(model, [red], attacks=["lavan:steps=3"], target=str(aim), draws=3)
    path = tmp_path / "deep" / "figure.png"
    draw(room, path, "stand-in", "LaVAN")
    with Image.open(path) as figure:
        assert figure.mode == "P"
        pixels = np.asarray(figure.convert("RGB")).astype(int)
    panel = 142  # 1.5 inches at 95 dots an inch
    assert pixels.shape[1] > 6 * panel, "clean, change, result and three views"
    reddish = (np.abs(pixels - [255, 0, 0]).sum(2) < 30).sum()
    assert reddish > 4 * panel**2, "all but the change is red, but for the patch"


@pytest.fixture
def stand_in_file(tmp_path: Path) -> str:
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return f"{path}:build"


def arguments(tmp_path: Path, stand_in_file: str) -> list[str]:
    pixels = torch.randint(0, 256, (40, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    Image.fromarray(pixels.numpy()).save(tmp_path / "one.png")
    usual = ["--model", stand_in_file, "--out", str(tmp_path / "out"), "--draws", "5"]
    return ["reproduce", "physical", str(tmp_path / "one.png"), *usual]


def test_command(tmp_path: Path, stand_in_file: str) -> None:
    usual = arguments(tmp_path, stand_in_file)
    for spec in QUICK:
        usual += ["--attack", spec]
    usual += ["--views", "rotation:10|brightness", "--eps", "0.1"]
    failed = CliRunner().invoke(app, [*usual, "--target", "nothing"])
    assert "no class called 'nothing'" in str(failed.exception)
    for target in CLASSES:  # the model sees one of them in the picture
        done = CliRunner().invoke(app, [*usual, "--target", target])
        if done.exit_code == 0:
            break
        assert "already; choose another target" in str(done.exception)
    for text in ("stand-in", f"towards {target}", "one", "views that fool"):
        assert text in done.stdout
    for name in ("stadv", "lavan", "rp2", "eot"):
        with Image.open(tmp_path / "out" / f"{name}.png") as figure:
            assert figure.format == "PNG"
    content = json.loads((tmp_path / "out" / "physical.json").read_text())
    assert content["views"] == "rotation:10+brightness:0.05"
    assert [record["attack"].partition(":")[0] for record in content["results"]] == ["stadv", "lavan", "rp2", "eot"]
    assert all(record["target"] == target for record in content["results"])
    assert all(0 <= record["view_success"] <= 1 for record in content["results"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--attack", "lavan:size=2"], "size"),
        (["--attack", "lavam"], "did you mean lavan"),
        (["--views", "turn"], "no transform is called 'turn'"),
        (["--eps", "2"], "eps is 2"),
    ],
)
def test_bad_input(tmp_path: Path, stand_in_file: str, more: list[str], message: str) -> None:
    done = CliRunner().invoke(app, [*arguments(tmp_path, stand_in_file), *more])
    assert isinstance(done.exception, SparringError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_a_target_that_is_seen_already_is_refused() -> None:
    model, one = stand_in(), photo("one", 1)
    seen = int(model.labels(one.image[None]))
    with pytest.raises(InputError, match=f"the model sees '{CLASSES[seen]}' in one already; choose another target"):
        physical(model, [one], target=CLASSES[seen])
