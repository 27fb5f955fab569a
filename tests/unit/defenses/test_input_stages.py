"""Input transforms: what they do to pixels, and that the gradient that each declares is of use to an attacker."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.defenses import defend, stages
from sparring.defenses.inputs.jpeg import Jpeg
from sparring.defenses.inputs.median import Median
from sparring.defenses.inputs.nlm import NonLocalMeans
from sparring.defenses.inputs.quilting import Quilting
from sparring.defenses.inputs.resize_pad import ResizePad
from sparring.defenses.inputs.thermometer import Thermometer
from sparring.defenses.inputs.tv import TotalVariation
from sparring.errors import InputError


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=20).tensors()


class FromCodes(nn.Module):
    """Thermometer codes back to pixels: what a net trained on codes could begin with."""

    def forward(self, codes: Tensor) -> Tensor:
        return codes.mean(1, keepdim=True)


# the eps at which 20 images tell the two attackers apart
CASES = {
    "bits:1": 0.3,
    "levels:3": 0.25,
    "jpeg:quality=50": 0.12,
    "median:3": 0.12,
    "tv:weight=0.05,steps=30": 0.15,
    "quilting:nearest=1,tiles=1000": 0.3,
    "nlm:search=7": 0.2,
    "resize-pad": 0.12,
    "thermometer:levels=4": 0.1,
}


@pytest.mark.parametrize("spec", CASES)
def test_an_attack_through_the_declared_gradient_beats_the_oblivious_one(
    spec: str, digits: tuple[Tensor, Tensor]
) -> None:
    (x, y), eps = digits, CASES[spec]
    bare = sp.load_model("mnist-cnn")
    inner = sp.wrap(nn.Sequential(FromCodes(), bare.net)) if spec.startswith("thermometer") else bare
    safe = defend(inner, spec)
    oblivious = sp.PGD(steps=10)(bare, x, y, ("Linf", eps)).x_adv
    view = "eot3" if safe.random else None
    adaptive = sp.PGD(steps=15, view=view)(safe.exposed(), x, y, ("Linf", eps)).x_adv
    with torch.no_grad():
        clean, left, right = (int((safe.labels(z) == y).sum()) for z in (x, oblivious, adaptive))
    assert clean >= 16
    assert right < left, f"{spec}: {right} of 20 stand under the adaptive attack, {left} under the oblivious one"


def test_every_input_stage_is_in_the_property_test() -> None:
    purifiers = {name for name, kind in stages().items() if ".purify." in kind.__module__}
    assert {spec.partition(":")[0] for spec in CASES} == set(stages()) - purifiers


# --- what they do ---------------------------------------------------------------------------------------------


def test_jpeg_is_pillows_and_its_twin_is_near(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:4]
    for quality in (10, 75, 95):
        stage = Jpeg(quality)
        assert (stage(x) - stage.twin(x)).abs().mean() < 0.01
    assert (Jpeg(95)(x) - x).abs().mean() < (Jpeg(10)(x) - x).abs().mean()
    ramp = torch.linspace(0, 1, 3 * 20 * 19).reshape(1, 3, 20, 19)  # no multiple of 8, in colour
    assert (Jpeg(90)(ramp) - Jpeg(90).twin(ramp)).abs().mean() < 0.01
    assert Jpeg(90)(ramp[:0]).shape == (0, 3, 20, 19)


def test_median_is_the_median() -> None:
    x = torch.rand(2, 2, 6, 7, generator=torch.Generator().manual_seed(0))
    assert Median(3)(x)[1, 0, 2, 3] == x[1, 0, 1:4, 2:5].median()
    assert Median(2)(x)[0, 1, 3, 3] == x[0, 1, 2:4, 2:4].flatten().sort().values[2]


def test_tv_smooths_noise_and_keeps_edges() -> None:
    draw = torch.Generator().manual_seed(0)
    step = torch.full((1, 1, 16, 16), 0.3)
    step[..., 8:] = 0.7
    noisy = step + 0.05 * torch.randn(step.shape, generator=draw)
    smooth = TotalVariation(weight=0.1, keep=1.0)(noisy)
    assert (smooth - step).abs().mean() < 0.4 * (noisy - step).abs().mean()
    flat = torch.full((1, 1, 8, 8), 0.3)
    assert torch.allclose(TotalVariation(keep=0.5)(flat), flat, atol=0.02), "what the mask hides is filled in"


def test_nlm_leaves_constant_patches_alone() -> None:
    flat = torch.full((1, 3, 20, 20), 0.4)
    assert torch.allclose(NonLocalMeans()(flat), flat)


def test_quilts_are_made_of_clean_tiles() -> None:
    stage = Quilting(tile=5, overlap=0, nearest=1, tiles=500)
    quilt = stage(sp.load_data("mnist5k", "test", n=1).tensors()[0])
    corner = quilt[0, 0, :5, :5].flatten()
    assert float((stage.book - corner).abs().amax(1).min()) < 1e-6


def test_thermometer_marks(digits: tuple[Tensor, Tensor]) -> None:
    codes = Thermometer(4)(torch.tensor([[[[0.0, 0.25, 0.3, 1.0]]]]))
    assert codes.shape == (1, 4, 1, 4)
    assert codes.sum(1).flatten().tolist() == [0, 1, 2, 4]
    assert Thermometer(4, box=(-1.0, 1.0))(torch.zeros(1, 1, 1, 1)).sum() == 2


def test_resize_pad_draws_anew_yet_belongs_to_the_image(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:3]
    first = ResizePad(0.6)
    once, twice = first(x), first(x)
    assert not torch.equal(once, twice)
    other = ResizePad(0.6)
    assert torch.equal(other(x[2:]), once[2:])
    assert torch.allclose(ResizePad(1.0)(x), x, atol=1e-4)


def test_stages_follow_the_box(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:2]
    for spec in ("jpeg:quality=80", "median:3", "tv:keep=1.0", "nlm:search=5", "quilting:nearest=1,tiles=200"):
        name, _, _ = spec.partition(":")
        one = defend(sp.wrap(nn.Flatten()), spec).stages[0].run
        two = defend(sp.wrap(nn.Flatten(), box=(-1, 1)), spec).stages[0].run
        assert torch.allclose(one(x) * 2 - 1, two(x * 2 - 1), atol=1e-3), name


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jpeg:quality=0", "from 1 to 100"),
        ("median:1", "from 2 to 15"),
        ("tv:keep=0", "keep in"),
        ("nlm:search=4", "odd sides"),
        ("resize-pad:2", "from 0.1 to 1"),
        ("thermometer:levels=1", "at least 2"),
        ("quilting:overlap=9", "overlap < tile"),
    ],
)
def test_what_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        defend(sp.wrap(nn.Flatten()), spec)
