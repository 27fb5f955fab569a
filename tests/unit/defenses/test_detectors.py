"""Feature squeezing as a detector, and an attacker who knows it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.defenses.detect.roc import roc
from sparring.defenses.detect.squeeze import SqueezeDetector


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", "test", n=20).tensors()


def test_squeezing_notices_an_attack_that_does_not_know_of_it(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    model = sp.load_model("mnist-cnn")
    detector = SqueezeDetector(model)
    x_adv = sp.attack("cw-l2:steps=40,search=3")(model, x, y, sp.Threat("L2", None)).x_adv
    with torch.no_grad():
        curve = roc(detector.score(x), detector.score(x_adv))
    assert curve.area > 0.9
    bound = detector.threshold(x, 0.05)
    assert float(detector.evades(x_adv, y, bound).float().mean()) < 0.5


def test_the_squeezers_score_has_a_gradient_that_lowers_it(digits: tuple[Tensor, Tensor]) -> None:
    x = digits[0][:8]
    detector = SqueezeDetector(sp.load_model("mnist-cnn"))
    noisy = (x + 0.35 * torch.rand(x.shape, generator=torch.Generator().manual_seed(0)).sub(0.5).sign()).clamp(0, 1)
    start, z = detector.score(noisy).detach(), noisy
    for _ in range(10):
        q = z.clone().requires_grad_()
        (slope,) = torch.autograd.grad(detector.score(q).sum(), q)
        z = (z - 0.01 * slope.sign()).clamp(0, 1)
    assert float(detector.score(z).detach().sum()) < float(start.sum())
