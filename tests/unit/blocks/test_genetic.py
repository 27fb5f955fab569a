"""Selection, crossover and mutation are as likely as they say, and rounding or NaN elects nobody."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.populations.genetic import crossed, drawn, leader, mutated, roulette, softmax
from sparring.losses import log_odds
from sparring.rng import Noise

NOISE = Noise(torch.arange(500))


def test_log_odds_are_those_of_the_softmax_and_do_not_saturate() -> None:
    logits = torch.randn(6, 5, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 3, 4, 0])
    p = logits.softmax(1).gather(1, y[:, None]).squeeze(1)
    expected = (p / (1 - p)).log()
    assert torch.allclose(log_odds(logits, sp.Targeted(y)), expected)
    assert torch.allclose(log_odds(logits, sp.Untargeted(y)), -expected)
    sure = torch.tensor([[60.0, 0.0, 1.0]])
    assert float(log_odds(sure, sp.Untargeted(torch.tensor([0])))) == pytest.approx(-60 + 1.3133, abs=1e-3)


def test_the_leader_is_the_fittest_up_to_rounding_and_never_nan() -> None:
    values = torch.tensor(
        [[1.0, 3.0, 3.000001, 2.0], [torch.nan, -5.0, -6.0, torch.nan], [-torch.inf, torch.nan, -9.0, 0]]
    )
    assert leader(values).tolist() == [[1], [1], [3]]


def test_parents_are_drawn_by_their_chance() -> None:
    chance = torch.tensor([0.5, 0.25, 0.25, 0.0]).expand(500, -1)
    share = torch.bincount(drawn(chance, NOISE, 20).flatten(), minlength=4) / 10000
    assert torch.allclose(share, torch.tensor([0.5, 0.25, 0.25, 0.0]), atol=0.02)


def test_chances_by_softmax_and_by_roulette() -> None:
    values = torch.tensor([[0.0, 1.0, torch.nan], [torch.nan] * 3, [2.0, 2.0, 2.0]])
    assert torch.allclose(softmax(values, 1.0)[0], torch.tensor([0.2689, 0.7311, 0.0]), atol=1e-4)
    assert torch.allclose(softmax(values, 1.0)[1:], torch.full((2, 3), 1 / 3))
    assert torch.allclose(roulette(torch.tensor([[-1.0, 0.0, 2.0]])), torch.tensor([[0.0, 0.25, 0.75]]))
    assert torch.allclose(roulette(values)[1:], torch.full((2, 3), 1 / 3))


def test_children_take_their_share_from_the_first_parent() -> None:
    population = torch.stack([torch.zeros(500, 40), torch.ones(500, 40)], 1)
    first, second = torch.zeros(500, 1).long(), torch.ones(500, 1).long()
    for share in (0.0, 0.3, 1.0):
        child = crossed(population, first, second, torch.full((500, 1), share), NOISE.uniform(1, 40))
        assert float(1 - child.mean()) == pytest.approx(share, abs=0.02)


def test_mutations_are_as_many_and_as_large_as_they_say() -> None:
    rate, size = torch.full((500,), 0.2), torch.full((500,), 0.5)
    moved = mutated(torch.zeros(500, 3, 40), rate, size, NOISE.uniform(3, 40))
    assert float((moved != 0).float().mean()) == pytest.approx(0.2, abs=0.01)
    assert float(moved.abs().max()) <= 0.5
    assert float(moved[moved != 0].abs().mean()) == pytest.approx(0.25, abs=0.01)
