"""Bandits-TD: the guess comes near the gradient, and its priors save queries."""

from __future__ import annotations

import pytest
import torch

import sparring as sp


@pytest.mark.long
def test_it_fools_as_many_digits_as_nes_in_fewer_queries() -> None:
    x, y = sp.load_data("mnist5k", n=12).tensors()
    net, budget = sp.load_model("mnist-cnn"), sp.Budget(queries=1500)
    bandits, nes = (sp.attack(name)(net, x, y, sp.Threat("Linf", 0.15), budget=budget) for name in ("bandits", "nes"))
    assert int(bandits.success.sum()) >= int(nes.success.sum())
    assert float(bandits.queries.double().mean()) <= 0.9 * float(nes.queries.double().mean())


def test_a_step_costs_three_queries_and_the_last_point_one() -> None:
    x, y = sp.load_data("mnist5k", n=2).tensors()
    result = sp.attack("bandits:steps=20")(sp.load_model("mnist-cnn"), x, y, sp.Threat("Linf", 0.001))
    assert result.queries.tolist() == [1 + 20 * 3 + 1] * 2


def test_on_tiles_the_perturbation_has_equal_pixels() -> None:
    x, y = torch.full((1, 1, 12, 12), 0.5), torch.tensor([0])
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(144, 2)).requires_grad_(False)
    net[1].weight.copy_(torch.stack([torch.ones(144), -torch.ones(144)]))
    net[1].bias.zero_()
    attack = sp.attack("bandits:steps=3,tile=0.25,step=1")
    d = (attack(net, x, y, sp.Threat("Linf", 0.1), keep="last").x_adv - x).reshape(4, 3, 4, 3)
    assert torch.equal(d, d[:, :1, :, :1].expand_as(d))
    assert bool(d.any())
