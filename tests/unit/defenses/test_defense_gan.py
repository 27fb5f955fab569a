"""Defense-GAN: its stage, its ways back, and what attacks make of it."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.defenses import defend
from sparring.defenses.detect.roc import roc
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.latent import latent_attack
from sparring.errors import InputError
from sparring.generators.denormals import denormals_are_zero
from sparring.generators.files import load_generator
from sparring.generators.pairs import Generator, make_pair
from sparring.generators.projection import Projection
from sparring.rng import Noise


@pytest.fixture(scope="module")
def generator() -> Generator:
    return load_generator("mnist-wgan-gp")


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=10).tensors()


def test_by_name_with_its_options(digits: tuple[Tensor, Tensor]) -> None:
    safe = defend(sp.load_model("mnist-cnn"), "defense-gan:steps=5,restarts=2")
    assert safe.random
    assert safe.logits(digits[0]).shape == (10, 10)
    stage = safe.stages[0].run
    assert isinstance(stage, DefenseGAN)
    assert (stage.projection.steps, stage.projection.restarts) == (5, 2)
    assert defend(sp.load_model("mnist-cnn"), "defense-gan:start=encoder,restarts=1").random is False


def test_clean_digits_come_through(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    safe = defend(sp.load_model("mnist-cnn"), "defense-gan:steps=100,restarts=5")
    with torch.no_grad():
        assert int((safe.labels(x) == y).sum()) >= 9


def test_the_oblivious_attack_meets_resistance(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    bare = sp.load_model("mnist-cnn")
    safe = defend(bare, "defense-gan:steps=40,restarts=2")
    oblivious = sp.PGD(steps=10)(bare, x, y, ("Linf", 0.15)).x_adv
    with torch.no_grad():
        undefended, defended = (int((model.labels(oblivious) == y).sum()) for model in (bare, safe))
    assert undefended <= 2
    assert defended >= 6


def test_the_published_mistake_is_seen_as_one(digits: tuple[Tensor, Tensor]) -> None:
    """Attacked as it is, the defense gives no gradient at all: a doubt, not robustness."""
    x, y = digits
    safe = defend(sp.load_model("mnist-cnn"), "defense-gan:steps=5,restarts=1")
    result = sp.attack("fgsm")(safe, x[:4], y[:4], ("Linf", 0.3))
    assert "zero-gradients" in [doubt.code for doubt in result.doubts]


def test_the_unrolled_gradient_is_the_slope(generator: Generator, digits: tuple[Tensor, Tensor]) -> None:
    stage = DefenseGAN(20, 1, generator=deepcopy(generator), backward="unrolled", unroll=5, start="encoder")
    assert stage.backward == "exact"
    x = digits[0][:1].clone()
    direction, weight = (
        torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    z = stage.project(x).z.double()  # where the exact steps begin is held fixed
    stage.generator.double()
    x = x.double()
    q = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad((stage._polished(z, q) * weight).sum(), q)
    h = 1e-6
    ends = [(stage._polished(z, x + sign * h * direction) * weight).sum() for sign in (1, -1)]
    assert float((slope * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-4)


def test_starts_are_drawn_anew_but_belong_to_the_image(generator: Generator, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:4]
    first, second = DefenseGAN(3, 2, generator=generator), DefenseGAN(3, 2, generator=generator)
    once, again = first(x), first(x)
    assert not torch.allclose(once, again)
    assert torch.allclose(second(x[2:3]), once[2:3], atol=1e-5)


def test_the_encoder_saves_steps(generator: Generator) -> None:
    x = sp.load_data("mnist5k", "test", n=10).tensors()[0]
    slow = Projection(80, 4, tolerance=0, race=False).run(generator, x, Noise.of(x, 0))
    quick = Projection(20, 4, start="encoder", tolerance=0, race=False).run(generator, x, Noise.of(x, 0))
    assert quick.error.mean() <= slow.error.mean()
    assert bool((4 * quick.steps == slow.steps).all())


def test_as_a_detector(generator: Generator) -> None:
    x = sp.load_data("mnist5k", "test", n=20).tensors()[0]
    noisy = (x + 0.3 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).sub(0.5).sign()).clamp(0, 1)
    stage = DefenseGAN(30, 2, generator=generator)
    curve = roc(stage.score(x), stage.score(noisy))
    assert curve.area > 0.8
    assert 0 <= curve.threshold(0.05) <= float(stage.score(noisy).max())


def test_roc_in_closed_form() -> None:
    clean, attacked = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([3.5, 5.0])
    curve = roc(clean, attacked)
    assert curve.area == pytest.approx(7 / 8)
    assert roc(clean, clean).area == pytest.approx(0.5)
    assert float((clean > curve.threshold(0.25)).float().mean()) <= 0.25


def test_the_latent_attack_survives_a_second_projection(generator: Generator) -> None:
    x, y = sp.load_data("mnist5k", "test", n=6).tensors()
    bare = sp.load_model("mnist-cnn")
    found = latent_attack(bare, generator, x, y, steps=120, lr=0.1, projection=Projection(60, 2))
    assert int(found.fooled.sum()) >= 5
    safe = defend(bare, DefenseGAN(100, 5, generator=generator))
    with torch.no_grad():
        assert int((safe.labels(found.x_adv) == y).sum()) <= 2


def test_other_boxes(generator: Generator, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:2]
    one = DefenseGAN(3, 2, generator=generator, start="encoder")
    two = DefenseGAN(3, 2, generator=generator, start="encoder", box=(-1.0, 1.0))
    assert one(x).shape == two(2 * x - 1).shape
    assert float(two(2 * x - 1).min()) < 0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("defense-gan:backward=zero", "identity or unrolled"),
        ("defense-gan:generator=none", "neither shipped"),
        ("defense-gan:restarts=0", "at least 0 and 1"),
        ("defense-gan:stepz=3", "does not fit"),
    ],
)
def test_what_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        defend(sp.load_model("mnist-cnn"), spec)


def test_images_of_another_shape_and_generators_without_an_encoder() -> None:
    bare = make_pair("mlp")[0]
    with pytest.raises(InputError, match="has no encoder"):
        DefenseGAN(generator=bare, start="encoder")
    with pytest.raises(InputError, match=r"makes images \[1, 28, 28\]"):
        DefenseGAN(generator=bare)(torch.zeros(1, 3, 32, 32))


def test_the_race_drops_only_starts_that_lie_behind(generator: Generator) -> None:
    x = sp.load_data("mnist5k", "test", n=8).tensors()[0]
    whole, raced = (
        Projection(60, 10, tolerance=0, race=race).run(generator, x, Noise.of(x, 0)) for race in (False, True)
    )
    assert bool((whole.steps == 600).all())
    assert bool((raced.steps == 10 * 31 + 5 * 29).all())
    assert bool((raced.error >= whole.error - 1e-7).all())
    assert float(raced.error.mean()) <= 1.05 * float(whole.error.mean())


def test_denormals_are_zero_inside_the_block_only() -> None:
    tiny = torch.tensor(1e-39)
    before = float(tiny * 1)
    with denormals_are_zero():
        inside = float(tiny * 1)
        with denormals_are_zero():
            pass
        still = float(tiny * 1)
    assert before == float(tiny * 1) > 0
    assert inside == still == 0
