"""Searches that give up: only those that would not arrive, each row for itself, and never behind the referee's back."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp
from sparring.blocks.prospects import FROM_NEARBY, Bars, Prospects


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=12).tensors()


def test_a_bar_is_a_share_of_the_clean_margin() -> None:
    hopes = Prospects(torch.tensor([10.0, 10.0, 2.0]), torch.full((3,), torch.inf))
    bars = Bars({5: 0.5, 9: 0.6}, shorter=0.9)
    same, none = hopes.after(4, torch.tensor([-1.0, -1.0, -1.0]), bars)
    assert none is None
    assert same is hopes
    hopes, poor = hopes.after(5, torch.tensor([-4.0, -6.0, -1.0]), bars)
    assert poor is not None
    assert poor.tolist() == [False, True, False]
    _, poor = hopes.after(9, torch.tensor([-3.9, -3.0, -0.5]), bars)
    assert poor is not None
    assert poor.tolist() == [True, False, False], "4.0 to 3.9 is less than a tenth"


@pytest.mark.parametrize("spec", ["square:queries=400", "apgd-square:steps=10,queries=400"])
def test_who_gives_up_stops_early_and_the_others_go_on_as_before(spec: str, digits: tuple[Tensor, Tensor]) -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat("Linf", 0.3)
    whole = sp.attack(spec)(model, *digits, threat)
    brief = sp.attack(f"{spec},give_up=true")(model, *digits, threat)
    shorter = brief.queries < whole.queries
    assert bool(shorter.any())
    assert torch.equal(brief.x_adv[~shorter], whole.x_adv[~shorter])
    assert not bool(brief.success[shorter].any())
    alone = sp.attack(f"{spec},give_up=true")(model, digits[0][3:4], digits[1][3:4], threat)
    assert int(alone.queries) == int(brief.queries[3])


def test_nobody_gives_up_where_every_step_is_wanted(digits: tuple[Tensor, Tensor]) -> None:
    model, threat = sp.load_model("mnist-cnn-fast"), sp.Threat("Linf", 0.1)
    spec = "apgd-square:steps=5,queries=150"
    whole, brief = (
        sp.attack(one)(model, *digits, threat, keep="margin").queries for one in (spec, f"{spec},give_up=true")
    )
    assert torch.equal(whole, brief)
    assert min(FROM_NEARBY.shares) == 100
