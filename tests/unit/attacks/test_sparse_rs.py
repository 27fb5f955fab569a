"""Sparse-RS: the schedule of the reference code, sets of exactly k pixels, and real digits against random pixels."""

from __future__ import annotations

import pytest
import torch

import sparring as sp
from sparring.blocks.swaps import swap_count


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 60), (1, 30), (50, 30), (51, 15), (201, 12), (501, 10), (1001, 7), (9999, 3)]
)
def test_the_schedule_is_that_of_the_reference_code(step: int, expected: int) -> None:
    assert swap_count(torch.tensor(200), 0.3, step / 10000) == expected
    assert swap_count(torch.tensor(2), 0.3, step / 10000) == 1


def test_all_digits_fall_to_twenty_pixels_in_a_thousand_queries() -> None:
    """As the authors' code does on a like net; random sets and colours of twenty pixels do not."""
    x, y = sp.load_data("mnist5k", n=10).tensors()
    net = sp.load_model("mnist-cnn")
    result = sp.attack("sparse-rs:queries=1000")(net, x, y, sp.Threat("L0", 20))
    assert int(result.success.sum()) >= 9
    assert float(result.queries.float().mean()) <= 500
    assert int((result.x_adv != x).flatten(1).sum(1).max()) <= 20
    random = sp.attack("one-pixel:population=500,generations=1")(net, x, y, sp.Threat("L0", 20))
    assert int(random.success.sum()) <= 3


def linear(pixels: int, seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(pixels, 3)).requires_grad_(False)


def test_a_row_does_not_depend_on_the_regions_of_others() -> None:
    net, x = linear(64), torch.rand(3, 1, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.2 + 0.4
    y, region = net(x).argmax(1), torch.ones(3, 1, 8, 8, dtype=torch.bool)
    region[1] = False
    region[1, 0, 0, 0] = True  # one pixel is free
    attack = sp.attack("sparse-rs:queries=60")
    together = attack(net, x, y, sp.Threat("L0", 4, region=region))
    for row in range(3):
        part = slice(row, row + 1)
        alone = attack(net, x[part], y[part], sp.Threat("L0", 4, region=region[part]))
        assert torch.equal(alone.x_adv[0], together.x_adv[row])
        assert alone.queries[0] == together.queries[row]


@pytest.mark.parametrize("side", [1, 2])
@pytest.mark.parametrize("eps", [4, 100])
def test_a_radius_that_covers_every_pixel(side: int, eps: int) -> None:
    net, x = linear(side * side), torch.full((2, 1, side, side), 0.5)
    result = sp.attack("sparse-rs:queries=30")(net, x, net(x).argmax(1), sp.Threat("L0", eps))
    assert int(result.queries.max()) <= 31


@pytest.mark.parametrize("channels", [1, 3])
def test_no_single_swap_paints_a_pixel_in_the_colour_that_it_has(channels: int) -> None:
    """Digits are black where nothing is drawn: half of such swaps would show a picture with a pixel less."""
    shown: list[torch.Tensor] = []

    class Watched(torch.nn.Module):
        def forward(self, z: torch.Tensor) -> torch.Tensor:
            shown.append(z.clone())
            return torch.stack([z.flatten(1).sum(1) * 0 + 1, z.flatten(1).sum(1) * 0], 1)

    x = torch.zeros(1, channels, 6, 6)
    sp.attack("sparse-rs:queries=200,alpha=0.01")(Watched(), x, torch.zeros(1, dtype=torch.int64), ("L0", 5 * channels))
    first, *changed = shown[1:]  # after the clean picture
    assert len(changed) > 150
    assert all(bool((picture != first).any()) for picture in changed)
