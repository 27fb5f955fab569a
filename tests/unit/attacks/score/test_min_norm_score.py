"""Which attacks the best of minimum norm from scores is made of, by the pictures that it gets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import sparring as sp


@pytest.mark.parametrize(("colours", "members"), [(1, ["signhunter-min"]), (3, ["signhunter-min", "square-min"])])
def test_squares_follow_flips_early_where_pictures_have_colours(colours: int, members: list[str]) -> None:
    x = torch.rand(4, colours, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(64 * colours, 32), nn.Tanh(), nn.Linear(32, 3)).double()
    y = net(x).argmax(1)
    budget = sp.Budget(queries=150)
    found = sp.minimum_norm(net, x, y, "Linf", sees="score", budget=budget).distance
    first, *others = members
    alone = sp.attack(first)(net, x, y, ("Linf", None), budget=budget).distance
    assert torch.equal(found, alone) == (not others)
    at_the_turn = sp.attack(first)(net, x, y, ("Linf", None), budget=sp.Budget(queries=100)).distance
    assert bool((found <= at_the_turn).all())
