"""Training for certificates: the losses bound what they should, and a run proves more than plain training."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import sparring as sp
from sparring.defenses.training.certified import IBP, SABR, CrownIBP
from sparring.defenses.training.loss import Step
from sparring.defenses.training.recipes import find_recipe
from sparring.errors import InputError


def small(seed: int = 0) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10), nn.ReLU(), nn.Linear(10, 3)
        )


def batch(count: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [count, 1, 4, 4]; the class is the brightest of three pairs of pixels."""
    x = torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    return x, x.flatten(1)[:, :6].reshape(count, 3, 2).sum(2).argmax(1)


def at(progress: float) -> Step:
    return Step(seed=0, epoch=0, epochs=1, batch=round(progress * 100) - 1, batches=100)


@pytest.mark.parametrize("loss", [IBP(sp.Threat("Linf", 0.1)), CrownIBP(sp.Threat("Linf", 0.1), final=1.0)])
def test_the_loss_is_above_that_of_any_attack(loss: IBP) -> None:
    """With kappa 0 it is the worst case alone, an upper bound of the cross-entropy in the whole ball."""
    net, (x, y) = small(), batch()
    worst = type(loss)(loss.threat, 0.5, 0.0, 1.0)
    value = float(worst(net, x, y, at(1.0)).detach())
    attacked = sp.PGD(steps=20)(net, x, y, ("Linf", 0.1), keep="margin").x_adv
    assert value >= float(cross_entropy(net(attacked), y).detach())


def test_crown_is_tighter_than_intervals_and_a_small_box_tighter_still() -> None:
    net, (x, y), threat = small(), batch(), sp.Threat("Linf", 0.1)
    ibp, crown = (kind(threat, 0.5, 0.0, 1.0) for kind in (IBP, CrownIBP))
    ibp_loss, crown_loss = (
        float(ibp(net, x, y, at(1.0)).detach()),
        float(CrownIBP(threat, 0.5, 0.0, 1.0, final=1.0)(net, x, y, at(1.0)).detach()),
    )
    assert crown_loss < ibp_loss
    assert float(crown(net, x, y, at(1.0)).detach()) == pytest.approx(ibp_loss)  # its weight has gone
    assert float(SABR(threat, 0.5, 0.0, 1.0, share=0.2)(net, x, y, at(1.0)).detach()) < ibp_loss
    assert float(SABR(threat, 0.5, 0.0, 1.0, share=1.0)(net, x, y, at(1.0)).detach()) == pytest.approx(ibp_loss)


def test_the_radius_grows_and_the_clean_weight_falls() -> None:
    net, (x, y) = small(), batch()
    first, last = at(0.01), at(1.0)
    IBP(sp.Threat("Linf", 0.1))(net, x, y, first)
    IBP(sp.Threat("Linf", 0.1))(net, x, y, last)
    assert first.notes["eps"] < 0.01
    assert last.notes["eps"] == pytest.approx(0.11)
    assert first.notes["verified"] >= last.notes["verified"]


@pytest.mark.long
@pytest.mark.parametrize("name", ["ibp", "crown-ibp", "sabr"])
def test_training_with_it_proves_more(name: str) -> None:
    x, y = batch(400)
    recipe, values = find_recipe(f"{name}:ramp=0.5")
    proved = {}
    for loss in (recipe.loss(sp.Threat("Linf", 0.05), values), find_recipe("standard")[0].loss(None)):
        net = small()
        adam = torch.optim.Adam(net.parameters(), 1e-2)
        for number in range(120):
            adam.zero_grad()
            loss(net, x, y, Step(number, 0, 1, number, 120)).backward()
            adam.step()
        proved[type(loss).__name__] = sp.certify(net, x, y, ("Linf", 0.05), "ibp").certified_accuracy
    trained, plain = proved.values()
    assert trained > plain + 0.1


@pytest.mark.parametrize("threat", [("L2", 0.5), ("Linf", None)])
def test_only_a_linf_radius_will_do(threat: tuple[str, float | None]) -> None:
    with pytest.raises(InputError, match="needs a Linf radius"):
        IBP(sp.Threat(*threat))
