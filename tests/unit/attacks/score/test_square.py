"""Square: as good as the reference code, inside the ball, over the whole picture; no query shows what is known."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.ball import Ball
from sparring.blocks.squares import SQUARES
from sparring.norms import L1, Linf
from sparring.rng import Noise


@pytest.mark.long
def test_seven_in_ten_digits_fall_in_l1_as_to_the_reference_code() -> None:
    """AutoAttack's Square on a like net: 70 % at L1 15 with 1,000 queries."""
    x, y = sp.load_data("mnist5k", n=20).tensors()
    result = sp.attack("square:queries=1000")(sp.load_model("mnist-cnn"), x, y, sp.Threat("L1", 15))
    assert float(result.success.double().mean()) >= 0.7
    assert float((result.x_adv - x).abs().flatten(1).sum(1).max()) <= 15 * (1 + 1e-5)


def test_changes_keep_all_of_eps_and_reach_the_last_row_and_column() -> None:
    x = torch.full((200, 1, 9, 9), 0.5)
    ball = Ball(x, L1, torch.full((200,), 2.0), (0.0, 1.0))
    noise = Noise.of(x + torch.arange(200).reshape(-1, 1, 1, 1) / 1e4, 0)
    z = SQUARES[L1].change(ball, SQUARES[L1].start(ball, noise), 0.1, noise)
    moved = z - x
    assert torch.allclose(moved.abs().flatten(1).sum(1), torch.tensor(2.0))
    assert bool((moved[..., -1, :] != 0).any())
    assert bool((moved[..., -1] != 0).any())


def test_its_l0_version_is_found_by_name() -> None:
    assert sp.attack("square-l0").info.name == "sparse-rs"


@pytest.mark.parametrize("channels", [1, 3])
def test_every_change_under_linf_changes_a_pixel(channels: int) -> None:
    """Colours are +eps or -eps: in grey images every second small square would repaint what is there."""
    x = torch.rand(60, channels, 9, 9, generator=torch.Generator().manual_seed(0)) * 0.4 + 0.3
    x[:20] = 0  # there, -eps does not show
    ball, noise = (
        Ball(x, Linf, torch.full((60,), 0.2), (0.0, 1.0)),
        Noise.of(x + torch.arange(60)[:, None, None, None], 0),
    )
    z, whites = SQUARES[Linf].start(ball, noise), []
    for share in (0.3, 0.05, 0.0125, 0.0125, 0.0125, 0.0125):
        new = SQUARES[Linf].change(ball, z, share, noise)
        assert bool((new != z).flatten(1).any(1).all())
        assert bool(((new - x).abs() <= 0.2 + 1e-6).all())
        whites.append(float((new > z).flatten(1).any(1).double().mean()))
        z = new
    assert 0.3 < sum(whites) / len(whites) < 0.7 or channels == 3  # both colours come about


class Broken(torch.nn.Module):
    """The mean pixel; NaN of one picture in `every`, by its content."""

    def __init__(self, every: int) -> None:
        super().__init__()
        self.every = every

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        value = x.double().flatten(1).mean(1).float()
        bad = ((x.flatten(1) * 1e4).round().sum(1) % self.every == 1)[:, None]
        return torch.stack([0.6 - value, value], 1).where(~bad, torch.nan)


def test_a_nan_does_not_end_the_search() -> None:
    x = torch.full((30, 1, 8, 8), 0.25) + torch.arange(30).reshape(-1, 1, 1, 1) / 1e3
    y = torch.zeros(30, dtype=torch.int64)
    found = [sp.attack("square:queries=300")(Broken(every), x, y, ("Linf", 0.08)).success for every in (10**9, 20)]
    assert bool(found[0].any())
    assert float(found[1].double().mean()) >= float(found[0].double().mean()) - 0.1
