"""Probes, the ways around what hides gradients, and the jury for models that answer at random."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.cascade.adaptive import remedies
from sparring.audit.cascade.majority_vote import judged, looks, votes
from sparring.audit.cascade.wrappers import subject
from sparring.audit.probes.behaviour import observe
from sparring.audit.probes.gradient_quality import look_around
from sparring.audit.probes.probe import Probes
from sparring.audit.suites.builtin import SUITES
from sparring.reproduce.gallery_layers import BlockCosine, GradientKiller, ResizePad, Rounded
from sparring.reproduce.gallery_models import batch_norm_net

THREAT = sp.Threat("Linf", 0.3)


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=24).tensors()


@pytest.fixture(scope="module")
def net() -> nn.Module:
    found = sp.load_model("mnist-cnn").net
    assert isinstance(found, nn.Module)
    return found


def _no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        return x * 1.0


class Front(nn.Module):
    """A function before a net, inside its forward pass: no module to find."""

    def __init__(self, net: nn.Module, front: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.front = net, front

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.front(x))


HIDING: dict[str, Callable[[nn.Module], nn.Module]] = {
    "killer": lambda net: nn.Sequential(GradientKiller(), net),
    "rounded": lambda net: nn.Sequential(Rounded(4), net),
    "jpeg": lambda net: nn.Sequential(BlockCosine(25), net),
    "detach": lambda net: Front(net, lambda x: x.detach()),
    "no_grad": lambda net: Front(net, _no_grad),
    "greater": lambda net: Front(net, lambda x: (x > 0.5).float()),
    "less": lambda net: Front(net, lambda x: 1 - (x < 0.5).to(x)),
    "round": lambda net: Front(net, lambda x: torch.round(x * 3) / 3),
}


def _through_numpy(x: Tensor) -> Tensor:
    return torch.from_numpy(x.detach().cpu().numpy().round(1)).to(x)


def _optimised(x: Tensor) -> Tensor:
    z = torch.zeros_like(x, requires_grad=True)
    with torch.no_grad():
        z += x  # refused where no_grad does nothing
    return z.detach()


@pytest.mark.long
@pytest.mark.parametrize("front", [_through_numpy, _optimised])
def test_a_detour_does_not_break_a_model_that_it_finds_no_way_around(
    net: nn.Module, digits: tuple[Tensor, Tensor], front: Callable[[Tensor], Tensor]
) -> None:
    x, y = digits[0][:4], digits[1][:4]
    model = sp.wrap(Front(net, front))
    past = subject(model, "detour", x)
    assert torch.equal(model.logits(x), past.logits(x.clone().requires_grad_()).detach())
    sp.attack("pgd:steps=2")(past, x, y, THREAT)
    report = sp.audit(model, (x, y), THREAT, suite=["fgsm", "pgd:steps=2"])
    assert "zero-gradients" in {doubt.code for doubt in report.doubts}


@pytest.mark.parametrize("name", HIDING)
def test_a_detour_changes_nothing_forwards_and_lets_attacks_steer(
    net: nn.Module, digits: tuple[Tensor, Tensor], name: str
) -> None:
    x, y = digits
    model = sp.wrap(HIDING[name](net))
    past = subject(model, "detour", x)
    assert torch.equal(model.logits(x), past.logits(x.clone().requires_grad_()).detach())
    before, after = (
        sp.attack("pgd:steps=15,loss=margin")(one, x, y, THREAT).robust_accuracy() for one in (model, past)
    )
    assert before > 0.9
    assert after < 0.75
    assert torch.is_grad_enabled()


def test_a_rescaled_model_is_the_same_classifier(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, _ = digits
    model = sp.wrap(net)
    assert torch.allclose(subject(model, "rescaled:4", x).logits(x), model.logits(x) / 4)
    assert subject(model, "", x) is model
    with pytest.raises(sp.errors.InputError, match="cannot be looked at"):
        subject(model, "upside down", x)


def test_the_neighbourhood_of_a_smooth_net_and_of_steps(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    smooth = look_around(sp.wrap(net), *digits, THREAT, 0)
    assert smooth.constant == 0.0
    assert smooth.faithful is not None
    assert smooth.faithful > 0.9
    assert smooth.aligned is not None
    assert smooth.aligned > 0.3
    assert smooth.unstable < 0.1
    steps = look_around(sp.wrap(nn.Sequential(Rounded(4), net)), *digits, THREAT, 0)
    assert steps.constant > 0.9
    assert steps.faithful == 0.0
    assert steps.aligned is None


def test_conduct(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    fine = observe(sp.wrap(net), *digits, False, (1.0, 1.0))
    assert (fine.crowded, fine.dynamic, fine.scale) == (0.0, False, None)
    crowd = observe(sp.wrap(batch_norm_net(0).train(), mode="as_is"), *digits, False, (1.0, 1.0))
    assert crowd.crowded == 1.0

    def optimising(x: Tensor) -> Tensor:
        with torch.enable_grad():
            z = x.detach().clone().requires_grad_()
            torch.autograd.grad(z.sum(), z)
        return net(x)

    assert observe(sp.wrap(optimising), *digits, False, (1.0, 1.0)).dynamic
    dark = sp.wrap(Front(net, lambda x: x / 255))
    right = float((dark.logits(digits[0]).argmax(1) == digits[1]).double().mean())
    assert observe(dark, *digits, False, (right, right)).scale is not None


def test_a_jury_ignores_luck(digits: tuple[Tensor, Tensor]) -> None:
    """A coin that lands wrong one time in five fools every search that may toss often; no majority of looks."""
    x, y = digits

    def coin(z: Tensor) -> Tensor:
        right = torch.nn.functional.one_hot(y[: len(z)], 10).float()
        return torch.where(torch.rand(len(z), 1) < 0.2, -right, right) + 0 * z.flatten(1)[:, :1]

    model = sp.wrap(coin, num_classes=10)
    state = torch.get_rng_state()
    seen = looks(model, x, y, 40, 0, 24)
    assert torch.equal(torch.get_rng_state(), state)
    assert 0.1 < float((seen != y).double().mean()) < 0.3
    assert torch.equal(votes(seen, 10).argmax(1), y)
    found = sp.attack("square:queries=30")(model, x, y, THREAT)
    decided = judged(model, found, x, y, 40, 0, 24)
    assert float(found.success.double().mean()) > 0.9 or len(found) == 0
    assert not bool(decided.success.any())
    assert torch.equal(decided.queries, found.queries + 40)


def test_random_resizing_is_seen_as_random_and_seedable(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    model = sp.defend(net, ResizePad(0.75), backward="exact", random=True)
    assert observe(model, *digits, True, (1.0, 1.0)).seedable


BLANK = Probes(
    n=24, training=(), active=False, changed=0.0, gap=8.0, certain=0.0, flat_ce=0.0, flat_margin=0.0, moved=1.0,
    filled=1.0, top=0, top_share=0.1, top_truth=0.1, passes=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("signs", "gap", "defended", "code", "subjects"),
    [
        ([], 8.0, False, None, set()),
        (["loss-saturation"], 794.0, False, "loss-saturation", {"rescaled:794", ""}),
        (["zero-gradients"], 8.0, False, "zero-gradients", {"detour"}),
        (["piecewise-constant", "zero-gradients"], 8.0, True, "piecewise-constant", {"exposed"}),
        ([], 8.0, True, "defended", {"exposed"}),
        (["random-outputs"], 8.0, False, "random-outputs", {""}),
        (["misaligned-gradients"], 8.0, False, "misaligned-gradients", {""}),
    ],
)
def test_the_remedy_fits_the_sign(
    net: nn.Module, signs: list[str], gap: float, defended: bool, code: str | None, subjects: set[str]
) -> None:
    from dataclasses import replace

    model = sp.defend(net, "bits:2") if defended else sp.wrap(net)
    found = remedies(signs, replace(BLANK, gap=gap), model, THREAT, SUITES["quick"].stages)
    assert list(dict.fromkeys(remedy.code for remedy in found)) == ([] if code is None else [code])
    climbs = [stage for remedy in found for stage in remedy.stages if stage.family == "adaptive"]
    assert {stage.wrapper for stage in climbs} == subjects
    for remedy in found:
        for stage in remedy.stages:
            assert stage.family == "adaptive" or (stage.family, stage.wrapper) == ("query", "")
            stage.attack()


def test_probes_survive_the_store(net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    import json

    report = sp.audit(net, digits, THREAT, suite=["fgsm"], n=12)
    again = Probes.of_dict(json.loads(json.dumps(report.probes.to_dict())))
    assert again == report.probes
    assert again.canary[0].found == 8
