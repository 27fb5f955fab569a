"""GenAttack on real digits, towards a class: the elite never gets worse, and chance alone does not do it."""

from __future__ import annotations

import pytest
import torch

import sparring as sp


@pytest.fixture(scope="module")
def digits() -> tuple[torch.Tensor, torch.Tensor]:
    return sp.load_data("mnist5k", n=10).tensors()


@pytest.mark.long
def test_targets_are_reached_where_foolbox_reaches_one_in_five(digits: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Foolbox, on a like net: 20 % at Linf 0.3 with 5,001 queries. Here 60 % is the least, by the paper's budget."""
    x, y = digits
    net, goal = sp.load_model("mnist-cnn"), sp.Targeted((y + 1) % 10, y)
    result = sp.GenAttack()(net, x, goal, sp.Threat("Linf", 0.3), budget=sp.Budget(queries=3000))
    assert int(result.success.sum()) >= 9
    assert float(result.first_hit[result.success].float().median()) <= 1000
    random = sp.attack("genattack:population=500,generations=1")(net, x, goal, sp.Threat("Linf", 0.3))
    assert int(random.success.sum()) <= 3


def test_a_generation_costs_all_but_the_elite_and_the_elite_never_gets_worse(
    digits: tuple[torch.Tensor, torch.Tensor],
) -> None:
    x, y = digits
    attack = sp.attack("genattack:generations=30")
    result = attack(sp.load_model("mnist-cnn"), x[:3], y[:3], sp.Threat("Linf", 0.02), trace=True)
    assert set(result.queries.tolist()) == {1 + 6 + 30 * 5}
    assert result.trace is not None
    generations = result.trace.margin[7:].reshape(30, 5, 3)
    first, last = (generations[at].mean((0, 1)) for at in (slice(0, 5), slice(-5, None)))
    assert bool((last > first).all())
