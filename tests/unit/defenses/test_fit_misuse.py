"""What people hand to `fit`: loaders, wrapped, frozen and lazy nets, a last batch of one, nets that write."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import sparring as sp
from sparring.data.images import ImageData
from sparring.defenses.training import Free, Standard
from sparring.defenses.training.batches import Batches
from sparring.defenses.training.trades import Trades


def _images(count: int) -> tuple[Tensor, Tensor]:
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.arange(count) % 3


def _net(*first: nn.Module) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(*first, nn.Flatten(), nn.Linear(16, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def _fit(net: Any, data: Any, **options: Any) -> Any:
    return sp.fit(net, data, epochs=1, device="cpu", **options)


@pytest.mark.parametrize("count", [33, 65, 2])
def test_a_rest_of_one_image_joins_the_batch_before_it(count: int) -> None:
    fitted = _fit(_net(), _images(count), batch_size=32)
    assert fitted.history[0]["loss"] > 0


@pytest.mark.parametrize("world", [1, 2, 3])
@pytest.mark.parametrize("least", [1, 2])
@pytest.mark.parametrize("count", range(1, 30))
def test_batches_cover_what_can_be_shared_once(count: int, least: int, world: int) -> None:
    data = ImageData(torch.arange(count)[:, None, None, None] / 30, [0] * count)
    seen = []
    for rank in range(world):
        batches = Batches(data, 6, 0, rank, world, least)
        shares = list(batches.epoch(0))
        assert len(shares) == len(batches)
        assert all(len(x) >= (least if count >= 6 else 1) for x, _, _ in shares)
        seen += [round(float(value) * 30) for x, _, _ in shares for value in x.flatten()]
    assert len(seen) == len(set(seen))
    assert count - len(seen) < world


def test_too_few_images_for_batch_normalisation_is_one_line() -> None:
    with pytest.raises(sp.InputError, match="at least 2 images"):
        _fit(_net(), _images(1))
    with pytest.raises(sp.InputError, match="at least 2 images"):
        _fit(_net(), _images(8), batch_size=1)


def test_a_tensor_data_set_trains_as_its_tensors_do() -> None:
    x, y = _images(12)
    want, got = (_fit(_net(), data).net.state_dict() for data in ((x, y), TensorDataset(x, y)))
    assert all(torch.equal(value, got[name]) for name, value in want.items())


@pytest.mark.parametrize(
    ("net", "data", "said"),
    [
        (_net(), DataLoader(TensorDataset(*_images(4))), "DataLoader"),
        (_net(), [_images(4)], "list"),
        (_net(), None, "NoneType"),
        (sp.wrap(_net()), _images(4), "model.net"),
        (lambda x: x, _images(4), "cannot be trained"),
        (_net().requires_grad_(False), _images(4), "frozen"),
        (nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), _images(4), "lazy"),
    ],
    ids=["loader", "list", "none", "wrapped", "function", "frozen", "lazy"],
)
def test_what_cannot_be_trained_is_one_line(net: Any, data: Any, said: str) -> None:
    with pytest.raises(sp.InputError, match=said):
        _fit(net, data)


class Writes(nn.Module):
    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return x.sub_(0.5).mul_(3) if self.inplace else (x - 0.5) * 3


@pytest.mark.parametrize("recipe", ["standard", "trades", "free"])
def test_a_net_that_writes_into_its_input_trains_as_one_that_does_not(recipe: str) -> None:
    losses = {
        "standard": Standard,
        "trades": lambda: Trades(threat=sp.Threat("Linf", 0.1)),
        "free": lambda: Free(sp.Threat("Linf", 0.1)),
    }
    fits = (_fit(_net(Writes(each)), _images(12), loss=losses[recipe]()) for each in (False, True))
    want, got = (each.net.state_dict() for each in fits)
    assert all(torch.equal(value, got[name]) for name, value in want.items())
