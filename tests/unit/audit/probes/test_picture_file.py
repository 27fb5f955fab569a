"""The rounding of a picture file is told from coarser codes, and from rounding elsewhere."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import sparring as sp
from sparring.audit.probes.picture_file import as_a_file
from sparring.model import wrap


class At(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def rounded(levels: int) -> nn.Module:
    return At(lambda x: (x * (levels - 1)).round() / (levels - 1))


def floored(x: Tensor) -> Tensor:
    return (x * 255).floor() / 255


def shuffled(x: Tensor) -> Tensor:
    """256 levels, every other one a good deal brighter."""
    level = (x * 255).round()
    return level / 255 + 0.1 * (level % 2)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (rounded(256), nn.Identity(), True),
        (rounded(4), nn.Identity(), False),
        (rounded(16), nn.Identity(), False),
        (nn.Identity(), nn.Identity(), False),
        (nn.Identity(), At(lambda z: (z * 100).round() / 100), False),
        (At(floored), nn.Identity(), True),
        (At(shuffled), nn.Identity(), False),
    ],
)
def test_only_256_levels_of_the_box(before: nn.Module, after: nn.Module, expected: bool) -> None:
    net = sp.load_model("mnist-cnn").net
    assert isinstance(net, nn.Module)
    x, _ = sp.load_data("mnist5k", n=8).tensors()
    assert as_a_file(wrap(nn.Sequential(before, net, after).eval()), x, 0) is expected


def test_in_another_box() -> None:
    net = sp.load_model("mnist-cnn").net
    assert isinstance(net, nn.Module)
    model = wrap(nn.Sequential(At(lambda x: x.round() / 255), net).eval(), box=(0, 255))
    assert as_a_file(model, 255 * sp.load_data("mnist5k", n=8).tensors()[0], 0)
    assert torch.is_grad_enabled()
