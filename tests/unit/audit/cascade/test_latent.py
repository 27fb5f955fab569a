"""The latent attack within a ball, and as a part of every audit of a model that a generator purifies for."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.latent import LATENT, purifier, run_codes
from sparring.audit.inputs.clean import Clean
from sparring.audit.report.per_attack import knowledge
from sparring.audit.suites.builtin import stage_of
from sparring.audit.suites.stage import Stage, Suite
from sparring.defenses import defend
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.latent import latent_attack
from sparring.model import Model, wrap
from sparring.preprocess import Defended

SPEC = "defense-gan:steps=10,restarts=1,start=encoder"
THREAT = sp.Threat("Linf", 0.3)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=10).tensors()


@pytest.fixture(scope="module")
def safe() -> Defended:
    return defend(sp.load_model("mnist-cnn"), SPEC)


def test_what_is_found_lies_in_the_ball_and_its_image_is_near_it(safe: Defended, digits: tuple[Tensor, Tensor]) -> None:
    stage = safe.stages[0].run
    assert isinstance(stage, DefenseGAN)
    x, y = digits
    known = {"steps": 80, "confidence": 5.0, "projection": stage.projection}
    inside = latent_attack(safe.inner, stage.generator, x, y, threat=THREAT, **known)  # type: ignore[arg-type]
    free = latent_attack(safe.inner, stage.generator, x, y, **known)  # type: ignore[arg-type]
    assert int(inside.fooled.sum()) >= 8
    assert float((inside.x_adv - x).abs().max()) <= 0.3 + 1e-5
    assert float((free.x_adv - x).abs().amax((1, 2, 3))[free.fooled].min()) > 0.5
    both = inside.fooled & free.fooled
    assert bool((inside.distance[both] < free.distance[both]).all()), "the ball is nearer than its middle"


def test_the_audit_steers_the_generator(
    safe: Defended, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.audit.cascade.latent.STEPS", 80)
    monkeypatch.setattr("sparring.audit.cascade.latent.RIVALS", ())
    x, y = digits
    with torch.no_grad():
        clean = Clean(x, y, safe.logits(x))
    cascade = Cascade(THREAT, clean, torch.arange(2), 0, 4)
    began = int(cascade.standing.sum())
    run_codes(cascade, safe)
    (latent,) = cascade.outcomes
    assert latent.stage == LATENT
    assert latent.tried == began
    assert len(latent.broke) >= 3
    assert int(cascade.standing.sum()) == began - len(latent.broke)
    assert latent.gradients == 2 * 80 * began
    with torch.no_grad():
        assert bool((safe.labels(cascade.worst(safe).x_adv) != y)[latent.broke].all())
    assert knowledge(LATENT) == "gradient"


@pytest.mark.long
def test_it_is_part_of_every_audit(
    safe: Defended, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparring.audit.cascade.latent.STEPS", 5)
    few = Stage("Rival codes", "rivals:starts=1,rivals=1,rounds=1", "adaptive", full_on_subset=False)
    monkeypatch.setattr("sparring.audit.cascade.latent.RIVALS", (few,))
    suite = Suite("one", "", (stage_of("fgsm"),), subset=1, curves=())
    quick = defend(safe.inner, "defense-gan:steps=1,restarts=1,start=encoder")
    report = sp.audit(quick, (digits[0][:2], digits[1][:2]), sp.Threat("Linf", 0.01), suite=suite, clean_floor=0)
    needs = {one["attack"]: one["knowledge"] for one in report.to_dict()["attacks"]}
    assert needs["Rival codes"] == needs["Latent"] == "gradient"


@pytest.mark.parametrize("spec", ["bits:4", "jpeg:quality=75"])
def test_only_where_a_generator_purifies(spec: str, safe: Defended) -> None:
    assert purifier(safe) is safe.stages[0].run
    assert purifier(defend(sp.load_model("mnist-cnn"), spec)) is None
    assert purifier(sp.load_model("mnist-cnn")) is None


def test_not_where_the_classifier_gives_no_gradients(safe: Defended) -> None:
    hidden: Model = defend(wrap(safe.inner.net, access="score"), SPEC)
    assert purifier(hidden) is None
    with torch.no_grad():
        assert hidden.logits(torch.zeros(1, 1, 28, 28)).shape == (1, 10)
