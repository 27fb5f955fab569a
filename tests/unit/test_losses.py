"""Losses against their formulas, written here once more, sample by sample in plain Python."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.errors import InputError
from sparring.losses import LOSSES, cross_entropy, dlr, dlr_targeted, logit, logit_difference, margin, towards
from sparring.threat import Goal, Targeted, Untargeted

CLASSES = [2, 3, 4, 10]


def logits(classes: int, rows: int = 12) -> Tensor:
    source = torch.Generator().manual_seed(classes)
    return torch.randn(rows, classes, generator=source, dtype=torch.float64) * 4 - 20  # all negative: where masks fail


def labels(classes: int, rows: int = 12) -> tuple[Tensor, Tensor]:
    y = torch.arange(rows) % classes
    return y, (y + 1 + torch.arange(rows) % (classes - 1)) % classes


def by_hand(formula: Callable[[list[float], int, int], float], classes: int) -> Tensor:
    y, t = labels(classes)
    return torch.tensor(
        [formula(z, int(a), int(b)) for z, a, b in zip(logits(classes).tolist(), y, t, strict=True)]
    ).double()


def others(z: list[float], c: int) -> list[float]:
    return [value for k, value in enumerate(z) if k != c]


def log_p(z: list[float], c: int) -> float:
    return z[c] - math.log(sum(math.exp(value) for value in z))


def ratio(gap: float, z: list[float], targeted: bool) -> float:
    """Croce & Hein 2020: eq. 6 divides by z_1 - z_3, eq. 7 by z_1 - (z_3 + z_4) / 2, sorted downwards."""
    top = sorted(z, reverse=True)
    if len(z) < 3:
        return gap
    if targeted and len(z) > 3:
        return gap / (top[0] - (top[2] + top[3]) / 2)
    return gap / (top[0] - top[2])


@pytest.mark.parametrize("classes", CLASSES)
def test_untargeted_losses(classes: int) -> None:
    z, (y, t) = logits(classes), labels(classes)
    goal = Untargeted(y)
    assert torch.allclose(cross_entropy(z, goal), by_hand(lambda z, y, t: -log_p(z, y), classes))
    assert torch.allclose(margin(z, goal), by_hand(lambda z, y, t: max(others(z, y)) - z[y], classes))
    assert torch.allclose(dlr(z, goal), by_hand(lambda z, y, t: ratio(max(others(z, y)) - z[y], z, False), classes))
    assert torch.allclose(logit(z, goal), by_hand(lambda z, y, t: -z[y], classes))
    aimed = Untargeted(y, t)
    assert torch.allclose(dlr_targeted(z, aimed), by_hand(lambda z, y, t: ratio(z[t] - z[y], z, True), classes))
    assert torch.allclose(logit_difference(z, aimed), by_hand(lambda z, y, t: z[t] - z[y], classes))
    assert torch.allclose(towards(z, aimed), by_hand(lambda z, y, t: log_p(z, t), classes))
    assert torch.equal(margin(z, aimed), margin(z, goal)), "what a loss aims at does not change what counts"


@pytest.mark.parametrize("classes", CLASSES)
def test_targeted_losses(classes: int) -> None:
    z, (y, t) = logits(classes), labels(classes)
    for goal in (Targeted(t), Targeted(t, y)):
        assert torch.allclose(cross_entropy(z, goal), by_hand(lambda z, y, t: log_p(z, t), classes))
        assert torch.allclose(margin(z, goal), by_hand(lambda z, y, t: z[t] - max(others(z, t)), classes))
        assert torch.allclose(dlr(z, goal), by_hand(lambda z, y, t: ratio(z[t] - max(others(z, t)), z, False), classes))
        assert torch.allclose(logit(z, goal), by_hand(lambda z, y, t: z[t], classes))
        assert torch.allclose(towards(z, goal), by_hand(lambda z, y, t: log_p(z, t), classes))
    both = Targeted(t, y)
    assert torch.allclose(dlr_targeted(z, both), by_hand(lambda z, y, t: ratio(z[t] - z[y], z, True), classes))
    assert torch.allclose(logit_difference(z, both), by_hand(lambda z, y, t: z[t] - z[y], classes))
    only = Targeted(t)
    assert torch.allclose(logit_difference(z, only), margin(z, only)), "without y the best other class stands for it"


def goals(classes: int) -> list[Goal]:
    y, t = labels(classes)
    return [Untargeted(y, t), Targeted(t, y)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("classes", CLASSES)
def test_losses_are_per_sample_finite_and_differentiable(name: str, classes: int) -> None:
    for goal in goals(classes):
        z = logits(classes).requires_grad_()
        value = LOSSES[name](z, goal)
        assert value.shape == (12,)
        (g,) = torch.autograd.grad(value.sum(), z)
        assert bool(g.isfinite().all())
        assert bool((g.abs().sum(1) > 0).all())
        alone = torch.stack([LOSSES[name](z[i : i + 1], goal[torch.tensor([i])])[0] for i in range(12)])
        assert torch.allclose(value, alone), "a sample's loss must not depend on its neighbours"


@pytest.mark.parametrize("name", ["margin", "dlr", "dlr-t", "logit-difference", "ce", "towards"])
def test_losses_do_not_change_when_all_logits_are_shifted(name: str) -> None:
    for goal in goals(5):
        assert torch.allclose(LOSSES[name](logits(5) - 1000, goal), LOSSES[name](logits(5), goal), atol=1e-8)


@pytest.mark.parametrize("name", ["dlr", "dlr-t"])
def test_dlr_does_not_change_with_the_scale_of_the_logits(name: str) -> None:
    for goal in goals(5):
        assert torch.allclose(LOSSES[name](logits(5) * 100, goal), LOSSES[name](logits(5), goal), atol=1e-8)


@pytest.mark.parametrize("classes", CLASSES)
def test_dlr_survives_ties(classes: int) -> None:
    z = torch.zeros(12, classes, requires_grad=True)
    for goal in goals(classes):
        for loss in (dlr, dlr_targeted):
            value = loss(z, goal)
            assert bool(value.isfinite().all())


def test_cross_entropy_saturates_where_the_margin_does_not() -> None:
    """In float32 the gradient of cross-entropy is exactly 0 at a logit gap of some hundred; the margin's never."""
    z = torch.tensor([[200.0, 0.0, 0.0]], requires_grad=True)
    goal = Untargeted(torch.tensor([0]))
    (flat,) = torch.autograd.grad(cross_entropy(z, goal).sum(), z)
    (steep,) = torch.autograd.grad(margin(z, goal).sum(), z)
    assert float(flat.abs().max()) == 0
    assert steep.abs().max() == 1


@pytest.mark.parametrize(
    ("written", "meant"), [("ce", cross_entropy), ("CW", margin), ("dlr_t", dlr_targeted), (dlr, dlr)]
)
def test_losses_are_found_by_name(written: object, meant: object) -> None:
    assert sp.PGD(loss=written).loss is meant  # type: ignore[arg-type]


def test_an_unknown_loss_is_refused_with_the_list() -> None:
    with pytest.raises(InputError, match=r"no loss is called 'hinge'.*margin, dlr"):
        sp.attack("pgd:loss=hinge")


def test_any_function_of_that_shape_is_a_loss() -> None:
    def second(z: Tensor, goal: Goal) -> Tensor:
        return z[:, 1]

    net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    net.weight.copy_(torch.eye(2))
    result = sp.FGSM(loss=second)(net, torch.tensor([[0.6, 0.5]]), torch.tensor([0]), ("Linf", 0.2))
    assert torch.allclose(result.x_adv, torch.tensor([[0.6, 0.7]]))
