"""Houdini: its gradient by the formula, its steps against PGD on the margin, the top k, and many outputs at once."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import sparring as sp
from sparring.attacks.gradient.houdini import Houdini
from sparring.losses import LOSSES, houdini, houdini_structured, houdini_top, margin
from sparring.testing.fixtures import curved
from sparring.threat import Targeted, Untargeted


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_gradient_is_that_of_the_paper() -> None:
    """d/dg_y = -phi(g_y - g_other), d/dg_other = +phi, of the probability: by differences of the error function."""
    z = draw(6, 4).requires_grad_()
    goal = Untargeted(z.argmax(1))
    (slope,) = torch.autograd.grad(houdini(z, goal).exp().sum(), z)
    for i in range(6):
        order = z[i].argsort(descending=True)
        gap = float((z[i, order[0]] - z[i, order[1]]).detach())

        def chance(by: float, gap: float = gap) -> float:
            return math.erfc((gap + by) / math.sqrt(2)) / 2

        numeric = (chance(1e-5) - chance(-1e-5)) / 2e-5
        assert abs(numeric + math.exp(-gap * gap / 2) / math.sqrt(2 * math.pi)) < 1e-6
        expected = torch.zeros(4, dtype=torch.float64)
        expected[order[0]], expected[order[1]] = numeric, -numeric
        assert torch.allclose(slope[i], expected, atol=1e-6)


def test_it_never_runs_out_of_gradient_far_from_the_goal() -> None:
    """The probability itself has none left in float32 at a gap of 14, cross-entropy none at 104."""
    gaps = torch.tensor([14.0, 19.9, 20.1, 104.5, 3e4, 1e9])
    z = torch.stack([gaps, torch.zeros(6)], 1).requires_grad_()
    for goal in (Untargeted(torch.zeros(6).long()), Targeted(torch.ones(6).long())):
        value = houdini(z, goal)
        (slope,) = torch.autograd.grad(value.sum(), z)
        assert torch.allclose(slope[:, 1] / gaps, 1 + gaps**-2, rtol=1e-4)
        assert torch.allclose(value, torch.special.log_ndtr(-gaps.double()).float())
    (slope,) = torch.autograd.grad(torch.special.ndtr(margin(z, goal)).sum(), z)
    assert float(slope[2:].abs().max()) == 0


@pytest.mark.parametrize("norm", ["Linf", "L2"])
def test_on_the_01_loss_it_is_pgd_on_the_margin(norm: str) -> None:
    paper = curved()
    threat = sp.Threat(norm, 0.05)
    runs = [
        attack(paper.net, paper.x, paper.y, threat, trace=True, keep="margin")
        for attack in (Houdini(steps=8), sp.PGD(steps=8, loss=houdini), sp.PGD(steps=8, loss=margin))
    ]
    for run in runs[:2]:
        assert run.trace is not None
        assert runs[2].trace is not None
        assert torch.allclose(run.trace.margin, runs[2].trace.margin, rtol=0, atol=0 if norm == "Linf" else 1e-12)
        assert torch.allclose(run.x_adv, runs[2].x_adv, rtol=0, atol=0 if norm == "Linf" else 1e-12)


def test_any_gradient_attack_takes_it_by_name() -> None:
    assert sp.attack("apgd-ce:loss=houdini").loss is houdini  # type: ignore[attr-defined]
    attack = sp.attack("pgd:loss=houdini-top5")
    assert attack.loss is LOSSES["houdini-top5"] is houdini_top(5)  # type: ignore[attr-defined]
    assert attack.spec == "pgd:loss=houdini-top5"


def test_the_top_k_version_pushes_against_the_kth_class() -> None:
    z = torch.tensor([[5.0, 4.0, 3.0, 1.0, 0.0]], dtype=torch.float64)
    wrong, wanted = Untargeted(torch.tensor([0])), Targeted(torch.tensor([3]))
    log_chance = torch.special.log_ndtr
    for k, gap in ((1, -1.0), (2, -2.0), (3, -4.0), (9, -5.0)):
        assert torch.allclose(houdini_top(k)(z, wrong), log_chance(torch.tensor([gap]).double()))
    for k, gap in ((1, -4.0), (3, -2.0), (4, 1.0)):
        assert torch.allclose(houdini_top(k)(z, wanted), log_chance(torch.tensor([gap]).double()))
    paper = curved(classes=6)
    result = Houdini(top=3)(paper.net, paper.x, paper.y, sp.Threat("Linf", 0.4), keep="margin")
    ranks = paper.logits(result.x_adv).argsort(1, descending=True).argsort(1).gather(1, paper.y[:, None]).squeeze(1)
    plain = Houdini()(paper.net, paper.x, paper.y, sp.Threat("Linf", 0.4))
    assert int((ranks >= 3).sum()) > int((_rank(paper.logits(plain.x_adv), paper.y) >= 3).sum())


def _rank(z: Tensor, y: Tensor) -> Tensor:
    """[b] how many classes are likelier."""
    return (z > z.gather(1, y[:, None])).sum(1)


# --- many outputs at once ---------------------------------------------------------------------------------------

CLASSES = 4


def segment(x: Tensor) -> Tensor:
    """A toy segmentation: scores [b, 4, H, W] of each pixel."""
    first, second = draw(12, 1, 5, 5, seed=1) / 2, draw(CLASSES, 12, 3, 3, seed=2) / 3
    return F.conv2d(F.conv2d(x - 0.5, first, padding=2).tanh(), second, padding=1)


def mean_iou(prediction: Tensor, target: Tensor) -> float:
    shares = []
    for k in range(CLASSES):
        both, either = (prediction == k) & (target == k), (prediction == k) | (target == k)
        shares.append(float(both.sum() / either.sum()))
    return sum(shares) / CLASSES


def attacked(loss: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, eps: float, steps: int = 30) -> Tensor:
    """What the toy says after PGD on a loss (scores, target) -> [b]."""
    z = x
    for _ in range(steps):
        point = z.requires_grad_()
        (slope,) = torch.autograd.grad(loss(segment(point), y).sum(), point)
        z = (z.detach() + 2.5 * eps / steps * slope.sign()).clamp(x - eps, x + eps).clamp(0, 1)
    return segment(z).argmax(1)


def test_on_a_segmentation_it_does_more_harm_than_cross_entropy() -> None:
    x = F.interpolate(draw(4, 1, 5, 5).sigmoid(), (14, 14), mode="bilinear")
    y = segment(x).argmax(1)
    by_pixel = attacked(lambda s, y: F.cross_entropy(s, y, reduction="none").flatten(1).sum(1), x, y, 0.05)
    by_task = attacked(houdini_structured, x, y, 0.05)
    assert mean_iou(y, y) == 1
    assert mean_iou(by_task, y) < mean_iou(by_pixel, y) - 0.02
    wanted = y.roll(1, 0)
    towards = attacked(lambda s, t: -houdini_structured(s, t), x, wanted, 0.1)
    assert mean_iou(towards, wanted) > mean_iou(y, wanted) + 0.1


def test_the_task_loss_says_which_outputs_matter() -> None:
    """Only the left half costs anything: pixels to the right of what it sees stay as they are."""
    x = draw(2, 1, 6, 12).sigmoid()
    y = segment(x).argmax(1)

    def left(rival: Tensor, target: Tensor) -> Tensor:
        assert bool((rival != target).all())
        return (torch.arange(12) < 4).expand(target.shape).double()

    point = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(houdini_structured(segment(point), y, left).sum(), point)
    assert bool((slope[..., 7:] == 0).all())  # 3 pixels is how far the convolutions see
    assert bool((slope[..., :4] != 0).all())
