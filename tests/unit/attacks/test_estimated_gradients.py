"""NES and SPSA on real digits: how many fall, by how many queries, and that noise of the same size does not do it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp

Digits = tuple[Tensor, Tensor]


@pytest.fixture(scope="module")
def digits() -> Digits:
    return sp.load_data("mnist5k", n=10).tensors()


@pytest.fixture(scope="module")
def net() -> sp.Model:
    return sp.load_model("mnist-cnn")


def noise_fools(net: sp.Model, digits: Digits, eps: float) -> int:
    """How many fall to the worst of 20 points of random signs."""
    x, y = digits
    generator = torch.Generator().manual_seed(0)
    fooled = torch.zeros_like(y, dtype=torch.bool)
    for _ in range(20):
        d = torch.randint(0, 2, x.shape, generator=generator) * 2.0 - 1
        fooled |= net.logits((x + eps * d).clamp(0, 1)).argmax(1) != y
    return int(fooled.sum())


@pytest.mark.parametrize(("spec", "median"), [("nes", 300), ("spsa", 1000)])
def test_all_digits_fall_in_some_hundred_queries(spec: str, median: int, net: sp.Model, digits: Digits) -> None:
    result = sp.attack(spec)(net, *digits, sp.Threat("Linf", 0.3), budget=sp.Budget(queries=5000))
    assert bool(result.success.all())
    assert float(result.first_hit.float().median()) <= median
    assert noise_fools(net, digits, 0.3) <= 2


@pytest.mark.parametrize(("spec", "queries"), [("nes", 51), ("spsa", 129)])
def test_a_step_costs_its_samples_and_the_point(spec: str, queries: int, net: sp.Model, digits: Digits) -> None:
    result = sp.attack(f"{spec}:steps=3")(net, *digits, sp.Threat("Linf", 0.001))
    assert set(result.queries.tolist()) == {3 * queries + 1}  # and one for the clean image, none for it twice


@pytest.mark.parametrize("spec", ["nes", "spsa"])
def test_a_target_is_reached(spec: str, net: sp.Model, digits: Digits) -> None:
    x, y = digits
    result = sp.attack(spec)(net, x, sp.Targeted((y + 1) % 10, y), sp.Threat("Linf", 0.3))
    assert int(result.success.sum()) >= 8


@pytest.mark.long
@pytest.mark.parametrize("spec", ["nes", "spsa"])
def test_l2_comes_within_a_fifth_of_what_gradients_find(spec: str, net: sp.Model, digits: Digits) -> None:
    x, y = digits
    nearest = sp.attack("ddn:steps=50")(net, x, y, sp.Threat("L2")).distance
    for i in range(3):
        eps = 1.2 * float(nearest[i])
        assert bool(sp.attack(spec)(net, x[i : i + 1], y[i : i + 1], sp.Threat("L2", eps)).success)
