"""SIA and BSR: copies that are what the papers say, differentiable, and of each image's own."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.views.by_name import VIEWS
from sparring.blocks.views.parts import BSR, CHANGES, SIA, Dice
from sparring.errors import InputError
from sparring.rng import Noise

X = torch.rand(4, 3, 13, 11, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def dice(*numbers: float) -> Dice:
    return Dice(list(numbers), Noise.of(X[:1], 0))


def test_cuts_make_up_the_length_and_no_part_is_empty() -> None:
    for length in (1, 2, 5, 224):
        for seed in range(30):
            numbers = Noise(torch.tensor([seed])).uniform(4).flatten().tolist()
            parts = dice(*numbers).cuts(length, 3)
            assert sum(parts) == length
            assert min(parts) >= 1
            assert len(parts) == min(3, length)


def test_without_rotation_bsr_only_moves_pixels() -> None:
    shown = BSR(1, 3, 0.0)(X, Noise.of(X, 0))
    assert not torch.equal(shown, X)
    assert torch.allclose(shown.flatten(2).sort().values, X.flatten(2).sort().values, atol=1e-9)


def test_one_part_turned_by_nothing_is_the_picture() -> None:
    assert torch.allclose(BSR(1, 1, 0.0)(X, Noise.of(X, 0)), X, atol=1e-9)


def test_the_ten_changes() -> None:
    part = X[0]
    shown = [change(part, dice(0.5, 0.5, 0.05)) for change in CHANGES]
    assert len(shown) == 10
    assert all(each.shape == part.shape for each in shown)
    assert torch.equal(shown[0], part.roll(6, 1))
    assert torch.equal(shown[1], part.roll(5, 2))
    assert torch.equal(shown[2].flip(1), part)
    assert torch.equal(shown[3].flip(2), part)
    assert torch.equal(shown[4].rot90(2, (1, 2)), part)
    assert torch.equal(shown[5], part / 2)
    assert 0 < float((shown[6] - part).abs().max()) <= 16 / 255
    assert torch.allclose(shown[8].mean((1, 2)), part.mean((1, 2)))
    assert float(shown[8].var()) < float(part.var())
    assert torch.equal(shown[9][2], torch.zeros_like(part[2]))
    assert torch.allclose(shown[9][:2], part[:2] / 0.9)


@pytest.mark.parametrize("view", [SIA(), BSR()])
def test_each_image_has_copies_of_its_own_that_gradients_pass(view: SIA | BSR) -> None:
    x = X.clone().requires_grad_()
    shown = view(x, Noise.of(X, 0))
    alone = torch.cat([view(X[i : i + 1], Noise.of(X[i : i + 1], 0)) for i in range(4)])
    assert torch.equal(shown.detach(), alone)
    (g,) = torch.autograd.grad(shown.sum(), x)
    assert bool(g.flatten(1).any(1).all())


@pytest.mark.parametrize("name", ["sia20", "sia5@2", "sia5@3@0.5", "bsr20", "bsr3@4", "bsr3@4@10"])
def test_names_are_read_as_they_are_written(name: str) -> None:
    attack = sp.attack(f"mifgsm:view={name}")
    assert str(attack.view) == name  # type: ignore[attr-defined]
    assert set(VIEWS) >= {"sia", "bsr"}


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="1 to 5 parts"):
        SIA(5, 9)
