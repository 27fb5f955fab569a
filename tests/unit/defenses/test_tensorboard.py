"""The TensorBoard log: what is written, with a stand-in for the writer where TensorBoard is not installed."""

from __future__ import annotations

import importlib.util
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.data.images import ImageData
from sparring.defenses.training.curves import TensorBoard
from sparring.defenses.training.standard import Standard
from sparring.errors import MissingExtra


class Writer:
    """Keeps what it is told."""

    last: Writer
    told: list[tuple[str, float, int]]

    def __init__(self, folder: str) -> None:
        self.folder, self.told, self.closed = folder, [], False
        Writer.last = self

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.told.append((name, float(value), step))

    def close(self) -> None:
        self.closed = True


def test_steps_and_epochs_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: name == "tensorboard" or real(name, *more))
    x = torch.rand(12, 1, 4, 4)
    data = ImageData(x, torch.arange(12) % 3)
    net = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
    sp.fit(net, data, epochs=2, loss=Standard(), batch_size=6, device="cpu", callbacks=[TensorBoard(tmp_path / "log")])
    told = Writer.last.told
    assert Writer.last.closed
    assert [step for name, _, step in told if name == "step/loss"] == [0, 1, 2, 3]
    assert [step for name, _, step in told if name == "epoch/loss"] == [1, 2]


def test_without_tensorboard_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="tensorboard"):
        TensorBoard(tmp_path)
