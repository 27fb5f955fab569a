"""One-Pixel against brute force, where that is possible, and against random pixels, where it is not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import sparring as sp


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    return sp.load_data("mnist5k", n=10).tensors()


@pytest.mark.long
def test_one_pixel_is_nearly_as_good_as_the_best_of_all_there_are(digits: tuple[Tensor, Tensor]) -> None:
    """All 784 pixels at black and at white, 1,568 queries: no pixel between them does much better on this net."""
    net, (x, y) = sp.load_model("mnist-cnn"), digits
    x, y = x[:3], y[:3]
    every = x.flatten(1)[:, None].repeat(1, 1568, 1)
    at = torch.arange(784)
    every[:, at, at], every[:, at + 784, at] = 0.0, 1.0
    with torch.no_grad():
        logits = net.logits(every.reshape(-1, 1, 28, 28))
    most = sp.Untargeted(y.repeat_interleave(1568)).margin(logits).reshape(3, -1).amax(1)
    paper = sp.attack("one-pixel:base=rand,crossover=1,population=100,generations=50")
    found = paper(net, x, y, sp.Threat("L0", 1), keep="margin").margin
    clean = sp.Untargeted(y).margin(net.logits(x)).detach()
    assert bool(((found - clean) >= 0.75 * (most - clean)).all())


@pytest.mark.long
def test_twelve_pixels_fool_where_as_many_random_ones_never_do(digits: tuple[Tensor, Tensor]) -> None:
    net, (x, y) = sp.load_model("mnist-cnn"), digits
    result = sp.attack("one-pixel")(net, x, y, sp.Threat("L0", 12))
    assert int(result.success.sum()) >= 4
    changed = (result.x_adv != x).flatten(1).sum(1)
    assert int(changed.max()) <= 12
    assert int(result.queries.max()) <= 1 + 50 * 101
    random = sp.attack("one-pixel:generations=1,population=1200")(net, x, y, sp.Threat("L0", 12))
    assert int(random.success.sum()) < int(result.success.sum())


def test_fewer_pixels_than_eps_allows(digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits
    attack = sp.attack("one-pixel:pixels=2,generations=2,population=10")
    result = attack(sp.load_model("mnist-cnn"), x, y, sp.Threat("L0", 12))
    assert int((result.x_adv != x).flatten(1).sum(1).max()) <= 2
