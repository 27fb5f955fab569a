"""Estimated gradients against those of autograd, in the box, on the grid, and whoever else is in the batch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.attack import Attack, register
from sparring.blocks.estimators import antithetic as module
from sparring.blocks.estimators.antithetic import antithetic
from sparring.blocks.estimators.bandits import explore, first_guess
from sparring.blocks.estimators.directions import Draw, gaussian, signs, sphere
from sparring.blocks.estimators.plateau import Plateau
from sparring.blocks.rises import rises
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L2, Linf
from sparring.rng import Noise
from sparring.testing.fixtures import Paper, affine, curved
from sparring.threat import Goal


def inside(paper: Paper, look: Callable[[Bout], Any], **threat: Any) -> Any:
    """What `look` returns of a bout around the images."""
    seen: list[Any] = []
    with patch.dict("sparring.attack.REGISTRY"):
        made = register("looking", title="S", sees="score", norms=(L2, Linf), aim="both", paper="none", year=2024)(
            type("S", (Attack,), {"run": lambda self, bout: seen.append(look(bout))})
        )
    made()(paper.net, paper.x, paper.y, sp.Threat("Linf", 1e-6, **threat))
    return seen[0]


def slopes(paper: Paper) -> Tensor:
    x = paper.x.clone().requires_grad_()
    (g,) = torch.autograd.grad(sp.Untargeted(paper.y).margin(paper.net(x)).sum(), x)
    return g


def cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(1), b.flatten(1))


@pytest.mark.parametrize("draw", [gaussian, signs])
@pytest.mark.parametrize("pairs", [25, 400])
def test_the_cosine_with_the_gradient_is_what_theory_says(draw: Draw, pairs: int) -> None:
    """For n directions in d pixels it is about sqrt(n / (n + d)): exact only in the limit."""
    paper = affine(count=40)
    paper = Paper(paper.net, paper.x.clamp(0.1, 0.9), paper.net(paper.x.clamp(0.1, 0.9)).argmax(1))
    _, g = inside(paper, lambda bout: antithetic(bout, bout.x, margin, pairs, 1e-3, draw))
    expected = math.sqrt(pairs / (pairs + 20))
    assert float(cosine(g, slopes(paper)).mean()) == pytest.approx(expected, rel=0.05)


def test_many_pairs_give_the_gradient_itself_also_at_the_bounds_of_the_box() -> None:
    paper = curved()  # half of its pixels are exactly 0 or 1, where only one side can be probed
    value, g = inside(paper, lambda bout: antithetic(bout, bout.x, margin, 6000, 1e-4, signs))
    true = slopes(paper)
    assert torch.allclose(value, sp.Untargeted(paper.y).margin(paper.net(paper.x)), atol=1e-2)
    assert float(cosine(g, true).min()) > 0.99
    assert torch.allclose(L2.size(g), L2.size(true), rtol=0.1)


def test_only_free_pixels_are_probed() -> None:
    paper = curved()
    free = torch.zeros(paper.x.shape[1:], dtype=torch.bool)
    free[..., :2] = True
    _, g = inside(paper, lambda bout: antithetic(bout, bout.x, margin, 50, 1e-3, gaussian), region=free)
    assert bool((g[..., 2:] == 0).all())
    assert bool((g[..., :2] != 0).all())


def test_on_a_grid_a_probe_is_a_step_of_the_grid() -> None:
    paper = affine()
    x = (paper.x * 255).round() / 255
    on_grid = Paper(paper.net, x, paper.net(x).argmax(1))
    _, g = inside(on_grid, lambda bout: antithetic(bout, bout.x, margin, 2000, 1e-6, signs), levels=256)
    assert float(cosine(g, slopes(on_grid)).min()) > 0.97


def test_directions_in_blocks_do_not_depend_on_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 20 * 4)
    paper = curved()

    def look(bout: Bout) -> tuple[Tensor, Tensor]:
        return antithetic(bout, bout.x, margin, 10, 1e-3, gaussian, also=True)

    value, g = inside(paper, look)
    for i in range(5):
        value_alone, alone = inside(paper[i : i + 1], look)
        assert torch.allclose(g[i : i + 1], alone, atol=1e-9)
        assert torch.allclose(value[i : i + 1], value_alone)


def test_directions_are_as_long_as_they_say() -> None:
    like, noise = torch.zeros(3, 1, 8, 8, dtype=torch.float64), Noise(torch.arange(3))
    for draw, square in ((gaussian, 1.0), (signs, 1.0), (sphere, 1 / 64)):
        u = draw(noise, 50, like)
        assert u.shape == (3, 50, 1, 8, 8)
        assert float(u.square().mean()) == pytest.approx(square, rel=0.05)
    assert torch.allclose(sphere(noise, 5, like).flatten(2).square().sum(2), torch.ones(3, 5).double())


def test_a_plateau_halves_the_step_and_a_rise_does_not() -> None:
    pace = Plateau.start(torch.zeros(2), 1.0)
    for k in range(9):
        pace = pace.after(torch.tensor([float(k), 0.0]), window=4, least=0.3)
    assert pace.length.tolist() == pytest.approx([1.0, 0.3])


# --- NaN ------------------------------------------------------------------------------------------------------


def broken_at(number: int, of: int) -> Callable[[Tensor, Goal], Tensor]:
    """The margin, but NaN for one of `of` candidates of each row."""

    def loss(logits: Tensor, goal: Goal) -> Tensor:
        hurt = torch.arange(len(logits)) % of == number
        return margin(logits, goal).masked_fill(hurt, torch.nan)

    return loss


@pytest.mark.parametrize("side", [0, 1])
def test_a_pair_that_meets_nan_counts_for_nothing(side: int) -> None:
    paper = affine()
    paper = Paper(paper.net, paper.x.clamp(0.1, 0.9), paper.net(paper.x.clamp(0.1, 0.9)).argmax(1))
    u = torch.randn(1, 4, 1, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).expand(
        5, -1, -1, -1, -1
    )
    kept = torch.tensor([0, 1, 3])
    hurt = inside(paper, lambda b: antithetic(b, b.x, broken_at(4 + side, 8), 4, 1e-3, lambda *_: u))
    rest = inside(paper, lambda b: antithetic(b, b.x, margin, 3, 1e-3, lambda *_: u[:, kept]))
    assert torch.allclose(hurt[0], rest[0])
    assert torch.allclose(hurt[1], rest[1])


def test_where_all_pairs_meet_nan_the_gradient_is_none_and_the_loss_unknown() -> None:
    paper = affine()
    value, g = inside(paper, lambda b: antithetic(b, b.x, lambda z, goal: margin(z, goal) * torch.nan, 4, 1e-3, signs))
    assert bool(value.isnan().all())
    assert not bool(g.any())


@pytest.mark.parametrize("side", [1, 2])
def test_a_guess_stays_as_it_is_where_a_try_meets_nan(side: int) -> None:
    paper = affine()

    def look(bout: Bout) -> list[Tensor]:
        before = explore(bout, bout.x, first_guess(bout, 0.1), margin, 1.0, 1.0, 0.3)
        after = explore(bout, bout.x, before, broken_at(side, 3), 1.0, 1.0, 0.3)
        return [*before, *after]

    tiles, size, same_tiles, same_size = inside(paper, look)
    assert bool(tiles.any())
    assert torch.equal(tiles, same_tiles)
    assert torch.equal(size, same_size)


def test_what_begins_at_nan_rises_to_any_number() -> None:
    nan, low = torch.nan, -torch.inf
    new, old = torch.tensor([-5.0, nan, nan, low, low, 1.0, 1.0]), torch.tensor([nan, nan, 0.0, nan, low, 1.0, low])
    assert rises(new, old).tolist() == [True, False, False, False, False, False, True]
