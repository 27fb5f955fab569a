"""Houdini: its gradient by the formula, its steps against PGD on the margin, the top k, and many outputs at once."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attacks.gradient.houdini import Houdini
from sparring.losses import LOSSES, houdini, houdini_top, margin
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
