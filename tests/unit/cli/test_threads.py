"""How many threads a command computes with: as asked for, else measured, and as before afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from typer.testing import CliRunner

import sparring as sp
from sparring.cli import app
from sparring.cli.threads import SMALL, faster_threads, settle_threads


@pytest.fixture(autouse=True)
def threads() -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(before)


class Counting(nn.Module):
    """Keeps count of the images that it saw."""

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.last, self.seen = nn.Linear(16, width), 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += len(x)
        z: Tensor = self.last(x.flatten(1))
        return z


def test_what_is_asked_for_is_used() -> None:
    settle_threads(1, sp.wrap(Counting()), torch.rand(1, 1, 4, 4))
    assert torch.get_num_threads() == 1


@pytest.mark.parametrize(("slow", "chosen"), [(1, 2), (2, 1), (None, 1)])
def test_the_faster_is_chosen_and_one_where_it_makes_no_difference(slow: int | None, chosen: int) -> None:
    assert faster_threads(lambda: time.sleep(0.03 if torch.get_num_threads() == slow else 0.001), 2) == chosen


def test_a_slow_model_is_not_measured_for_long() -> None:
    started = time.perf_counter()
    assert faster_threads(lambda: time.sleep(0.7 if torch.get_num_threads() == 1 else 0.4), 2) == 2
    assert time.perf_counter() - started < 1.5


def test_measuring_asks_a_copy_and_leaves_the_net_alone() -> None:
    net = Counting().train()
    settle_threads(None, sp.wrap(net), torch.rand(1, 1, 4, 4))
    assert net.seen == 0
    assert net.training
    assert net.last.weight.requires_grad
    assert torch.get_num_threads() in (1, 2)


def test_large_nets_and_defended_ones_use_all() -> None:
    large = Counting(SMALL // 16)
    for model in (sp.wrap(large), sp.defend(sp.wrap(Counting()), "bits:4"), sp.wrap(lambda x: x.flatten(1))):
        settle_threads(None, model, torch.rand(1, 1, 4, 4))
        assert torch.get_num_threads() == 2


def test_a_command_computes_with_them_and_leaves_them_as_they_were(tmp_path: Path) -> None:
    """The net notes the number of threads in a file."""
    note, code = tmp_path / "threads.txt", tmp_path / "mine.py"
    code.write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def forward(self, x):\n"
        f"        open({str(note)!r}, 'w').write(str(torch.get_num_threads()))\n"
        "        return x.flatten(1)[:, :10]\n"
        "def build():\n    return Net()\n"
    )
    words = ["attack", "fgsm", "--model", f"{code}:build", "--n", "4", "--eps", "0.1", "--quiet"]
    for asked in ("1", "3"):
        result = CliRunner().invoke(app, [*words, "--threads", asked])
        assert result.exit_code == 0, result.output
        assert note.read_text() == asked
        assert torch.get_num_threads() == 2
