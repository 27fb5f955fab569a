"""Ways past masks: tensors inside the model, gradients straight through, a code's own thresholds."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.coded import CodeFlips, thresholds
from sparring.audit.cascade.inner_tensor import climbed, inner_tensors, judged_outside
from sparring.audit.cascade.straight_through import detour
from sparring.model import Model
from sparring.reproduce.gallery_layers import Times
from sparring.reproduce.gallery_masks import Alike, BinaryCNN, Cut, Detached, Flipped, Hard, Turned, UpsideDown
from sparring.threat import Threat


@pytest.fixture(scope="module")
def net() -> nn.Module:
    found = sp.load_model("mnist-cnn").net
    assert isinstance(found, nn.Module)
    return found


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=12).tensors()


MASKS = [UpsideDown(), Cut(), Alike(), Turned(), Flipped(), nn.Sequential(Hard(), Times(10))]


@pytest.mark.parametrize("mask", MASKS, ids=lambda mask: type(mask).__name__)
def test_scores_before_a_mask_are_found_and_climbed(
    net: nn.Module, digits: tuple[Tensor, Tensor], mask: nn.Module
) -> None:
    x, y = digits
    model = Model(nn.Sequential(net, mask).eval())
    found = inner_tensors(model, x)
    assert found
    threat = Threat("Linf", 0.2)
    plain = sp.attack("pgd:loss=margin,steps=10")(model, x, y, threat)
    inside = sp.attack("pgd:loss=margin,steps=10")(climbed(model, found[0], x, 10), x, y, threat)
    judged = judged_outside(model, inside, x, y, 64)
    assert int(judged.success.sum()) >= 11
    assert int(judged.success.sum()) >= int(plain.success.sum())
    with torch.no_grad():
        assert torch.equal(model.labels(judged.x_adv) != y, judged.success)


def test_a_plain_net_has_no_inner_tensor(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    assert inner_tensors(Model(net), digits[0]) == ()


@pytest.mark.parametrize("how", ["inference", "data"])
def test_the_detour_passes_over_what_turns_gradients_off(
    net: nn.Module, digits: tuple[Tensor, Tensor], how: str
) -> None:
    x, _ = digits
    model = Model(Detached(net, how).eval())
    point = x.clone().requires_grad_()
    truth = torch.autograd.grad(net(point).sum(), point)[0]
    found = detour(model, x[:2])
    assert torch.allclose(torch.autograd.grad(found.logits(point).sum(), point)[0], truth)
    assert torch.equal(found.logits(x), model.logits(x))


@pytest.mark.parametrize(
    "step",
    [
        lambda z: (z * 100).int().to(z.dtype) / 100,
        lambda z: (z * 100).long() / 100,
        lambda z: z.clamp(max=-50.0),
        lambda z: torch.nn.functional.one_hot(z.argmax(1), z.shape[1]).float(),
        lambda z: (z > 0).float(),
        lambda z: z.round(),
    ],
)
def test_the_detour_goes_through_steps(step: object) -> None:
    weight = torch.arange(12.0).reshape(3, 4) - 5

    class Stepped(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return step(x.flatten(1) @ weight.T)  # type: ignore[operator, no-any-return]

    model = Model(Stepped())
    x = torch.linspace(0.1, 0.9, 8).reshape(2, 1, 2, 2)
    found = detour(model, x)
    point = x.clone().requires_grad_()
    answer = found.logits(point)
    assert torch.equal(answer.detach(), model.logits(x))
    slope = torch.autograd.grad(answer[:, 2].sum(), point)[0].flatten(1)
    assert torch.nn.functional.cosine_similarity(slope, weight[2:3]).min() > 0.999


def test_thresholds_of_a_code_are_found(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, _ = digits
    assert thresholds(Model(BinaryCNN(net)), x) == pytest.approx((0.5,), abs=1e-4)
    assert thresholds(Model(net), x) == ()
    found = thresholds(sp.defend(Model(net), "bits:2"), x)
    assert len([t for t in found if t < 0.9]) == 3
    assert thresholds(sp.defend(Model(net), "jpeg:quality=50"), x) == ()


@pytest.mark.parametrize(
    ("norm", "eps", "least"), [("L2", 1.5, 11), ("L1", 8.0, 11), ("L0", 16, 10), ("Linf", 0.45, 8)]
)
def test_flips_at_the_code_beat_straight_through_steps(
    net: nn.Module, digits: tuple[Tensor, Tensor], norm: str, eps: float, least: int
) -> None:
    x, y = digits
    model = Model(BinaryCNN(net).eval())
    seen, threat = detour(model, x[:2]), Threat(norm, eps)
    found = CodeFlips(at=thresholds(model, x))(seen, x, y, threat)
    assert bool((threat.norm.size(found.x_adv - x) <= eps * (1 + 1e-5)).all())
    assert int(found.success.sum()) >= least
