"""Rival codes: the attack on Defense-GAN's projection itself."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.audit.cascade.majority_vote import looks
from sparring.defenses import defend
from sparring.defenses.purify.defense_gan import DefenseGAN
from sparring.defenses.purify.rivals import rival_attack
from sparring.preprocess import Defended

DRAWS = 3


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=6).tensors()


@pytest.fixture(scope="module")
def safe() -> Defended:
    return defend(sp.load_model("mnist-cnn"), "defense-gan:steps=100,restarts=5")


def attacked(safe: Defended, x: Tensor, y: Tensor, threat: sp.Threat, **known: int) -> Tensor:
    stage = safe.stages[0].run
    assert isinstance(stage, DefenseGAN)
    known = {"starts": 10, "rivals": 10, "rounds": 20, **known}
    return rival_attack(safe.inner, stage.generator, x, y, threat, **known)  # type: ignore[arg-type]


def right(safe: Defended, points: Tensor, y: Tensor) -> int:
    return int(((looks(safe, points, y, DRAWS, 0, 64) == y).double().mean(0) > 0.5).sum())


def test_it_breaks_what_examples_of_the_bare_net_do_not(safe: Defended, digits: tuple[Tensor, Tensor]) -> None:
    (x, y), threat = digits, sp.Threat("Linf", 0.3)
    oblivious = sp.PGD(steps=20)(safe.inner, x, y, threat).x_adv
    points = attacked(safe, x, y, threat)
    assert right(safe, x, y) == 6
    assert right(safe, oblivious, y) >= 3
    assert right(safe, points, y) <= 1


@pytest.mark.parametrize(("norm", "eps"), [("Linf", 0.1), ("L2", 1.0), ("L1", 5.0)])
def test_points_lie_in_the_ball(safe: Defended, digits: tuple[Tensor, Tensor], norm: str, eps: float) -> None:
    (x, y), threat = digits, sp.Threat(norm, eps)
    points = attacked(safe, x[:2], y[:2], threat, rounds=2)
    assert bool((threat.norm.size(points - x[:2]) <= eps * (1 + 1e-5)).all())
    assert float(points.min()) >= 0
    assert float(points.max()) <= 1


def test_an_image_is_attacked_alike_in_any_company(safe: Defended, digits: tuple[Tensor, Tensor]) -> None:
    (x, y), threat = digits, sp.Threat("Linf", 0.3)
    together = attacked(safe, x[:3], y[:3], threat, rounds=2)
    assert torch.allclose(together[1:2], attacked(safe, x[1:2], y[1:2], threat, rounds=2), atol=1e-4)
