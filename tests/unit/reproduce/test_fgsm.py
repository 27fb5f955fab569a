"""`sparring reproduce fgsm-imagenet`, with a small random net in place of an ImageNet classifier."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from typer.testing import CliRunner

import sparring.cli.reproduce.fgsm_imagenet  # noqa: F401  (enters its command into the app)
from sparring.attacks.gradient.fgsm import FGSM
from sparring.cli.app import app
from sparring.errors import InputError, SparringError
from sparring.model import Model, wrap
from sparring.reproduce.fgsm_figure import draw, eps_text, short_model, short_picture
from sparring.reproduce.fgsm_imagenet import at, class_number, direction, fgsm_imagenet, radius, smallest_eps
from sparring.threat import Threat, Untargeted
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
            p.copy_(torch.randn(p.shape, generator=generator) / p[0].numel() ** 0.5)
    return wrap(net, input_size=(3, {SIZE}, {SIZE}), classes={CLASSES!r}, name="stand-in")
"""


def stand_in() -> Model:
    scope: dict[str, object] = {}
    exec(STAND_IN, scope)
    return scope["build"]()  # type: ignore[operator, no-any-return]


def photo(name: str = "noise", seed: int = 0) -> Photo:
    return Photo(name, torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)))


def test_rows_say_what_fgsm_itself_gives() -> None:
    model, picture = stand_in(), photo()
    untargeted, targeted = fgsm_imagenet(model, [picture], epsilons=(0.1, 0.01))
    x = picture.image[None].requires_grad_()
    logits = model.logits(x)
    confidence = float(logits.detach().softmax(1).max())
    truth, least = int(logits.argmax()), int(logits.argmin())
    assert untargeted.clean.number == truth
    assert untargeted.clean.confidence == pytest.approx(confidence, abs=1e-6)
    assert targeted.target == CLASSES[least]
    assert [shot.eps for shot in untargeted.shots] == [0.01, 0.1]
    for row, label, sign in ((untargeted, truth, 1), (targeted, least, -1)):
        loss = nn.functional.cross_entropy(logits, torch.tensor([label]))
        (gradient,) = torch.autograd.grad(loss, x, retain_graph=True)
        for shot in row.shots:
            expected = (x + sign * shot.eps * gradient.sign()).clamp(0, 1).detach()
            assert torch.allclose(shot.image, expected[0], atol=1e-6)
            after = model.logits(expected).detach().softmax(1)[0]
            assert shot.answer.number == int(after.argmax())
            assert shot.answer.confidence == pytest.approx(float(after.max()), abs=1e-5)
            assert shot.clean_confidence == pytest.approx(float(after[truth]), abs=1e-5)
    for shot in untargeted.shots:
        assert shot.fooled == (shot.answer.number != truth)
        assert shot.target_confidence is None
    for shot in targeted.shots:
        assert shot.fooled == (shot.answer.number == least)
    assert any(shot.fooled for shot in untargeted.shots)
    assert any(not shot.fooled for shot in (*untargeted.shots, *targeted.shots))


def test_the_smallest_eps_of_a_linear_net_is_its_closed_form() -> None:
    weights = torch.randn(2, 12, generator=torch.Generator().manual_seed(0))
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 2, bias=False))
    with torch.no_grad():
        net[1].weight.copy_(weights)
    x = torch.full((1, 3, 2, 2), 0.5)
    model = wrap(net)
    margin = net(x)[0].detach()
    truth = int(margin.argmax())
    exact = float(margin[truth] - margin[1 - truth]) / float((weights[0] - weights[1]).abs().sum())
    assert 0.001 < exact < 0.5
    goal = Untargeted(torch.tensor([truth]))
    assert smallest_eps(model, x, goal) == pytest.approx(exact, rel=2e-3)
    with torch.no_grad():
        net[1].weight.zero_()
    assert smallest_eps(model, x, Untargeted(torch.tensor([0]))) is None, "no pixel moves it"


def test_chosen_target() -> None:
    model = stand_in()
    rows = fgsm_imagenet(model, [photo()], epsilons=[0.1])
    seen = rows[0].clean.number
    other = next(n for n in (0, 1, 4) if n != seen)
    for target in (str(other), CLASSES[other].upper()):
        assert fgsm_imagenet(model, [photo()], epsilons=[0.1], target=target)[1].target == CLASSES[other]
    with pytest.raises(InputError, match="in noise already; choose another target"):
        fgsm_imagenet(model, [photo()], epsilons=[0.1], target=str(seen))


def test_a_constant_model_is_called_one() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 4))
    nn.init.zeros_(net[1].weight)
    nn.init.zeros_(net[1].bias)
    with pytest.raises(InputError, match="all 4 classes equally likely in noise"):
        fgsm_imagenet(wrap(net), [photo()])


def test_class_numbers() -> None:
    assert class_number("Espresso", CLASSES) == 4
    assert class_number("tiger_cat", ("tabby", "tiger cat")) == 1
    assert class_number("3", CLASSES) == 3
    with pytest.raises(InputError, match="2 classes are called 'crane'; say the number: 0, 2"):
        class_number("crane", ("crane", "sock", "crane"))
    for wanted, message in (
        ("5", r"the model has 5 \(0\.\.4\)"),
        ("expresso", "did you mean espresso"),
        ("zzz", "no class called 'zzz'$"),
    ):
        with pytest.raises(InputError, match=message):
            class_number(wanted, CLASSES)


def test_eps_as_people_write_it() -> None:
    assert [eps_text(eps) for eps in (0.01, 8 / 255, 0.1, 0.15, 0.3, 1 / 255)] == [
        "0.01",
        "8/255",
        "0.1",
        "0.15",
        "0.3",
        "1/255",
    ]
    assert radius("8/255") == 8 / 255
    for text in ("0", "1.5", "nan", "x"):
        with pytest.raises(InputError):
            radius(text)


def test_figure_shows_each_picture(tmp_path: Path) -> None:
    model = stand_in()
    path = tmp_path / "deep" / "figure.png"
    red = Photo("red", torch.tensor([1.0, 0, 0]).view(3, 1, 1).expand(3, SIZE, SIZE).clone())
    draw(fgsm_imagenet(model, [photo(), red], epsilons=[0.01, 0.1]), path, "stand-in")
    pixels = np.asarray(Image.open(path).convert("RGB"))
    panel = 300  # 2 inches at 150 dots an inch
    assert pixels.shape[0] > 4 * panel  # a row a picture and goal
    assert pixels.shape[1] > 4 * panel  # clean, perturbation, two eps
    exactly_red = (pixels == [255, 0, 0]).all(2).sum()
    assert exactly_red > 1.9 * panel**2  # the clean red picture, once in each of its two rows


@pytest.fixture
def stand_in_file(tmp_path: Path) -> str:
    path = tmp_path / "stand_in.py"
    path.write_text(STAND_IN)
    return f"{path}:build"


def save_png(path: Path, seed: int) -> Tensor:
    pixels = torch.randint(0, 256, (40, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    Image.fromarray(pixels.numpy()).save(path)
    return pixels


def test_command(tmp_path: Path, stand_in_file: str) -> None:
    for seed, name in enumerate(("one.png", "two.png")):
        save_png(tmp_path / name, seed)
    arguments = ["reproduce", "fgsm-imagenet", "--model", stand_in_file, "--out", str(tmp_path / "out")]
    arguments += ["--eps", "8/255", "--eps", "0.15", "--pictures", str(tmp_path / "one.png"), str(tmp_path / "two.png")]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    for text in ("FGSM on stand-in", "one", "two", "untargeted", "towards", "8/255", "0.15"):
        assert text in done.stdout
    with Image.open(tmp_path / "out" / "fgsm-imagenet.png") as figure:
        assert figure.format == "PNG"
    content = json.loads((tmp_path / "out" / "fgsm-imagenet.json").read_text())
    assert content["truth"] == "the model's answer to the clean picture"
    results = content["results"]
    assert [(r["picture"], r["target"] is None, r["eps"]) for r in results] == [
        (picture, untargeted, eps)
        for picture in ("one", "two")
        for untargeted in (True, False)
        for eps in (8 / 255, 0.15)
    ]
    for record in results:
        changed = record["after"]["class"] != record["before"]["class"]
        assert record["fooled"] is (changed and record["target"] in (None, record["after"]["label"]))
        assert 0 < record["after"]["confidence"] <= 1


def test_pictures_of_a_folder_with_their_labels(tmp_path: Path, stand_in_file: str) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for seed, name in enumerate(("one.png", "two.png")):
        save_png(folder / name, seed)
    (folder / "labels.csv").write_text('file,index,label\none.png,1,"sock, stocking"\ntwo.png,3,cup\n')
    arguments = ["reproduce", "fgsm-imagenet", "--model", stand_in_file, "--out", str(tmp_path / "out"), str(folder)]
    done = CliRunner().invoke(app, [*arguments, "--json", str(tmp_path / "f.json"), "--eps", "0.15"])
    assert done.exit_code == 0, done.output
    pictures = json.loads((tmp_path / "f.json").read_text())["pictures"]
    assert [(one["picture"], one["true_label"]) for one in pictures] == [("one", "sock, stocking"), ("two", "cup")]
    for one in pictures:
        assert one["label"] in CLASSES
        assert one["right"] is (one["label"] == one["true_label"].partition(",")[0])
        assert 0 < one["smallest_eps"] <= 1
        assert [step["eps"] for step in one["steps"]] == [0.15]
        assert one["steps"][0]["fooled"] or one["smallest_eps"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--eps", "2"], "needs 0 < eps <= 1"),
        (["--mean", "a,b"], "--mean is 'a,b'"),
        (["--pictures", "gone.png"], "gone.png"),
        (["--target", "unicorn"], "no class called 'unicorn'"),
    ],
)
def test_bad_input(tmp_path: Path, stand_in_file: str, arguments: list[str], message: str) -> None:
    save_png(tmp_path / "one.png", 0)
    usual = ["--pictures", str(tmp_path / "one.png"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(app, ["reproduce", "fgsm-imagenet", "--model", stand_in_file, *usual, *arguments])
    assert isinstance(done.exception, SparringError)
    assert message in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_models_for_other_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "gray.py"
    path.write_text(
        "from torch import nn\nfrom sparring import wrap\nnet = wrap(nn.Flatten(), input_size=(1, 28, 28))\n"
    )
    done = CliRunner().invoke(app, ["reproduce", "fgsm-imagenet", "--model", f"{path}:net", "--out", str(tmp_path)])
    assert isinstance(done.exception, InputError)
    assert "1 x 28 x 28" in str(done.exception)


def test_models_that_cannot_take_the_pictures_are_one_line(tmp_path: Path) -> None:
    save_png(tmp_path / "one.png", 0)
    path = tmp_path / "linear.py"
    path.write_text("from torch import nn\nnet = nn.Sequential(nn.Flatten(), nn.Linear(5, 2))\n")
    arguments = ["--model", f"{path}:net", "--out", str(tmp_path / "out"), str(tmp_path / "one.png")]
    done = CliRunner().invoke(app, ["reproduce", "fgsm-imagenet", *arguments])
    assert isinstance(done.exception, InputError)
    assert "linear.py:net cannot take images of shape (3, 224, 224)" in str(done.exception)


def test_photographs_are_cut_to_the_net(tmp_path: Path) -> None:
    from sparring.zoo.photos import open_photo, sample_photos

    save_png(tmp_path / "one.png", 0)
    opened = open_photo(tmp_path / "one.png", SIZE)
    assert opened.name == "one"
    assert opened.image.shape == (3, SIZE, SIZE)
    assert 0 <= float(opened.image.min()) < float(opened.image.max()) <= 1
    with pytest.raises(InputError, match="no sample photograph is called 'dog'"):
        sample_photos(SIZE, ["dog"])


def test_an_unwrapped_net_gets_numbers_for_names() -> None:
    rows = fgsm_imagenet(wrap(nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE**2, 4))), [photo()], epsilons=[0.1])
    assert rows[0].clean.label.startswith("class ")


def test_titles_are_short() -> None:
    assert short_model("hf:some/where/mobilenet_v2") == "mobilenet_v2"
    assert short_model("hf:google/mobilenet_v2_1.0_224") == "mobilenet_v2_1.0_224"
    assert short_model("imagenet:efficientnet-lite0") == "imagenet:efficientnet-lite0"
    assert short_picture("n01440764_tench") == "tench"
    assert short_picture("n02017213_european_gallinule") == "european gallinule"
    assert short_picture("chelsea") == "chelsea"
    assert len(short_picture("a very long name of a picture that somebody took")) <= 26


def test_one_gradient_serves_every_eps() -> None:
    """The points along FGSM's direction are FGSM's own, at the box too."""
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 4 * 4, 3)).requires_grad_(False)
    model, x = wrap(net), torch.rand(1, 3, 4, 4, generator=torch.Generator().manual_seed(0)).round(decimals=1)
    goal = Untargeted(model.logits(x).argmax(1))
    way = direction(model, x, goal)
    for eps in (0.01, 8 / 255, 0.4):
        fgsm = FGSM()(model, x, goal, Threat("Linf", eps), keep="last").x_adv
        assert torch.allclose(at(model, x, way, eps), fgsm, atol=1e-6)
