"""Square under L1: as good as the reference code, inside the ball, over the whole picture."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.ball import Ball
from sparring.blocks.squares import SQUARES
from sparring.norms import L1
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
