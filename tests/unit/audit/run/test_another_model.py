"""A run that is resumed with another model, although its weights are the same, is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import sparring as sp


class Net(nn.Module):
    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.change = change
        self.linear = nn.Linear(16, 3)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(3, 16, generator=torch.Generator().manual_seed(1)))
            self.linear.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.change(x).flatten(1))  # type: ignore[no-any-return]


def _audit(net: nn.Module, folder: Path, resume: bool) -> sp.Report:
    x = torch.rand(12, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = Net(nn.Identity())(x).argmax(1)
    return sp.audit(
        net, (x, y), ("Linf", 0.1), suite=["fgsm"], folder=folder, resume=resume, shard_size=6, clean_floor=0
    )


@pytest.mark.long
@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("change", [lambda x: (x > 0.5).float(), lambda x: x.flip(3), lambda x: x * 1.1])
def test_the_same_weights_behind_another_forward_are_refused(
    tmp_path: Path, change: Callable[[Tensor], Tensor], finished: bool
) -> None:
    first = _audit(Net(nn.Identity()), tmp_path / "run", False)
    if not finished:
        (tmp_path / "run" / "shards" / "00001.safetensors").unlink()
    with pytest.raises(sp.InputError, match="otherwise than when this run began"):
        _audit(Net(change), tmp_path / "run", True)
    again = _audit(Net(lambda x: x + 1e-7), tmp_path / "run", True)
    assert again.robust.hits == first.robust.hits
