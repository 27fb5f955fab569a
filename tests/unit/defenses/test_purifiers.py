"""MagNet, PixelDefend and DiffPure: their stages, their ways back, their detectors, and what attacks make of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.defenses import defend, stages
from sparring.defenses.detect.evade import evasion_attack
from sparring.defenses.detect.magnet import PARTS, MagnetDetector
from sparring.defenses.purify.diffpure import DiffPure
from sparring.defenses.purify.magnet import Magnet
from sparring.defenses.purify.pixel_defend import PixelDefend
from sparring.errors import InputError
from sparring.generators.autoencoders import load_autoencoders, save_autoencoders, train_autoencoders
from sparring.model import Model

# the eps at which a few images tell the two attackers apart
CASES = {"magnet": 0.15, "magnet:net=fine": 0.15, "pixel-defend": 0.3, "diffpure:steps=2": 0.2}
ELSEWHERE = {"defense-gan"}
SLOW = pytest.param("pixel-defend", marks=pytest.mark.long)  # pixel after pixel


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=12).tensors()


@pytest.fixture(scope="module")
def bare() -> Model:
    return sp.load_model("mnist-cnn")


@pytest.mark.parametrize("spec", [SLOW if spec == "pixel-defend" else spec for spec in CASES])
def test_an_attack_through_the_declared_gradient_beats_the_oblivious_one(
    spec: str, digits: tuple[Tensor, Tensor], bare: Model
) -> None:
    (x, y), eps = digits, CASES[spec]
    safe = defend(bare, spec)
    oblivious = sp.PGD(steps=10)(bare, x, y, ("Linf", eps)).x_adv
    adaptive = sp.PGD(steps=6)(safe.exposed(), x, y, ("Linf", eps), keep="last").x_adv
    with torch.no_grad():
        clean, left, right = (int((safe.labels(z) == y).sum()) for z in (x, oblivious, adaptive))
    assert clean >= 10
    assert right < left, f"{spec}: {right} of 12 stand under the adaptive attack, {left} under the oblivious one"


def test_every_purifier_is_in_the_property_test() -> None:
    purifiers = {name for name, kind in stages().items() if ".purify." in kind.__module__}
    assert {spec.partition(":")[0] for spec in CASES} | ELSEWHERE == purifiers


@pytest.mark.parametrize("spec", ["magnet", SLOW, "diffpure:steps=2"])
def test_an_image_is_purified_alike_alone_and_in_a_batch(spec: str, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:4]
    whole, alone, moved = (
        defend(sp.wrap(nn.Flatten(), box=box), spec).stages[0].run for box in 2 * [(0, 1)] + [(-1, 1)]
    )
    made = whole(x)
    assert made.shape == x.shape
    assert torch.allclose(torch.cat([alone(x[2:]), alone(x[:2])]), made[[2, 3, 0, 1]], atol=1e-5)
    assert whole(x[:0]).shape == (0, 1, 28, 28)
    if spec != "diffpure:steps=2":  # whose noise belongs to the pixels, which are others in another box
        assert torch.allclose(moved(2 * x - 1), 2 * made - 1, atol=1e-4)


def test_names_and_randomness(bare: Model) -> None:
    assert defend(bare, "diffpure").random
    assert not defend(bare, "magnet|pixel-defend").random


# --- DiffPure -------------------------------------------------------------------------------------------------


def test_diffpure_draws_anew_for_each_image(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:2]
    stage, other = DiffPure(0.3, 2), DiffPure(0.3, 2)
    first, second = stage(x), stage(x)
    assert not torch.allclose(first, second, atol=0.01)
    assert torch.allclose(other(x[1:]), first[1:], atol=1e-5)
    twice = DiffPure(0.3, 2)(x[[0, 0]])
    assert not torch.allclose(twice[0], twice[1], atol=0.01)


@pytest.mark.parametrize("sampler", ["ddpm", "ddim"])
def test_diffpures_gradient_is_the_slope_of_the_whole_chain(sampler: str, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:1].double()
    stage = DiffPure(0.3, 3, sampler=sampler)
    direction, weight = (
        torch.randn(x.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)
    )
    fixed = stage.draws(x)  # the same noise for each of the three points

    def value(z: Tensor) -> Tensor:
        stage.draws = lambda _: type(fixed)(fixed.keys)  # type: ignore[assignment]
        return (stage(z) * weight).sum()

    q = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(value(q), q)
    h = 1e-5
    ends = [value(x + sign * h * direction) for sign in (1, -1)]
    assert float((slope * direction).sum()) == pytest.approx(float(ends[0] - ends[1]) / (2 * h), rel=1e-4)


def test_diffpure_keeps_one_step_in_memory(digits: tuple[Tensor, Tensor]) -> None:
    def held(steps: int) -> int:
        stage, kept = DiffPure(0.3, steps), []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):  # type: ignore[func-returns-value]
            stage(digits[0][:1].clone().requires_grad_())
        return sum(kept)

    assert held(4) - held(2) < 2 * 5 * 784


# --- PixelDefend ----------------------------------------------------------------------------------------------


def test_pixel_defend_stays_within_eps_and_prefers_the_likely(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:8]
    noisy = (x + 0.2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).sub(0.5).sign()).clamp(0, 1)
    stage = PixelDefend(0.3)
    clean = stage(noisy)
    assert float((clean - noisy).abs().max()) <= 0.3 + 1e-5
    assert float((clean - x).square().mean()) < 0.5 * float((noisy - x).square().mean())
    assert bool((stage.score(noisy) > stage.score(clean)).all())
    assert torch.allclose(PixelDefend(0.0)(x), (x * 15).round() / 15, atol=1e-6)


# --- MagNet ---------------------------------------------------------------------------------------------------


def test_magnets_detectors_keep_their_share_of_false_alarms(bare: Model) -> None:
    x, _ = sp.load_data("mnist5k", "train", n=200).tensors()
    detector = MagnetDetector(bare, x, parts=PARTS, false_alarms=0.02)
    with torch.no_grad():
        for name, part in detector.parts.items():
            scores = part.score(x)
            assert scores.shape == (200,)
            assert float((scores > detector.bounds[name]).float().mean()) <= 0.02
        alarms = float((detector.score(x) > 1).float().mean())
    assert 0 < alarms <= 0.02 * len(PARTS)


def test_the_divergence_is_jensens_and_shannons(bare: Model, digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:3]
    part = MagnetDetector(bare, x, parts=["jsd10"]).parts["jsd10"]
    with torch.no_grad():
        p, q = ((bare.logits(z) / 10).double().softmax(1) for z in (x, Magnet()(x)))
        middle = (p + q) / 2
        exact = ((p * (p / middle).log()).sum(1) + (q * (q / middle).log()).sum(1)) / 2
        assert torch.allclose(part.score(x).double(), exact, atol=1e-6)


def test_noticed_by_magnet_unless_the_attack_knows_of_it(bare: Model, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    detector = MagnetDetector(bare, sp.load_data("mnist5k", "train", n=200).tensors()[0])
    oblivious = sp.PGD(steps=10)(bare, x, y, ("Linf", 0.3)).x_adv
    assert int(detector.evades(oblivious, y, 1.0).sum()) <= 2
    z, past = evasion_attack(detector, x, y, ("Linf", 0.3), steps=60)
    assert float((z - x).abs().max()) <= 0.3 + 1e-5
    assert torch.equal(detector.evades(z, y, 1.0), past)
    assert int(past.sum()) >= 10


def test_autoencoders_learn_and_are_kept(tmp_path: Path) -> None:
    x = sp.load_data("mnist5k", "train", n=50).tensors()[0]
    errors: list[float] = []
    both = train_autoencoders(x, iterations=30, batch_size=16, on_step=lambda net, k, error: errors.append(error))
    assert len(errors) == 60
    assert errors[59] < 0.5 * errors[30]
    save_autoencoders(both, tmp_path, {})
    again = load_autoencoders(tmp_path)
    assert torch.equal(again.fine(x), both.fine(x))
    assert torch.equal(Magnet("fine", weights=again)(x[:2]), both.fine(x[:2]))
    with pytest.raises(InputError, match="at least one of both"):
        train_autoencoders(x, iterations=0)
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match="not those of its card"):
        load_autoencoders(tmp_path)


# --- bad input ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("diffpure:t=0", "between 0"),
        ("diffpure:steps=0", "at least 1"),
        ("diffpure:sampler=ode", "ddpm or ddim"),
        ("diffpure:backward=none", "exact or identity"),
        ("diffpure:generator=mnist-wgan-gp", "needs a diffusion model"),
        ("pixel-defend:2", "from 0 to 1"),
        ("pixel-defend:generator=mnist-diffusion", "needs a PixelCNN"),
        ("magnet:net=third", "coarse or fine"),
        ("magnet:weights=none", "neither shipped"),
    ],
)
def test_what_is_refused(spec: str, message: str, bare: Model) -> None:
    with pytest.raises(InputError, match=message):
        defend(bare, spec)


@pytest.mark.parametrize("spec", ["diffpure", "pixel-defend", "magnet"])
def test_pictures_of_another_kind_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match=r"these are [\[(]"):
        defend(sp.wrap(nn.Flatten()), spec).logits(torch.zeros(1, 3, 32, 32))


def test_detectors_refuse_what_they_do_not_know(bare: Model, digits: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(InputError, match="they must be of l1, l2"):
        MagnetDetector(bare, digits[0], parts=["l3"])
    with pytest.raises(InputError, match="needs an eps"):
        evasion_attack(MagnetDetector(bare, digits[0]), *digits, sp.Threat("Linf", None))
