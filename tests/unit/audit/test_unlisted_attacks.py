"""The attacks that only the audit runs are found by their names, and listed nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

import sparring as sp
from sparring.attacks import attack, attacks, find
from sparring.audit.cascade.transfer import Shown
from sparring.audit.suites.random_noise import RandomNoise
from sparring.audit.suites.replay import Replay
from sparring.audit.suites.stage import Stage
from sparring.errors import InputError


@pytest.mark.parametrize(("name", "cls"), [("noise", RandomNoise), ("replay", Replay), ("transfer", Shown)])
def test_they_are_found_by_name_and_listed_nowhere(name: str, cls: type) -> None:
    assert find(name).cls is cls
    assert name not in {info.name for info in attacks()}
    assert type(Stage("", name, "query").attack()) is cls


def test_noise_is_written_like_any_attack() -> None:
    assert attack("noise:draws=7") == RandomNoise(draws=7)
    assert attack("noise:draws=7").spec == "noise:draws=7"
    with pytest.raises(InputError, match="draws"):
        attack("noise:draws=0")


@pytest.mark.parametrize("folder", ["runs/a b", "/tmp/x,y=z|50%", "r\u00e9sum\u00e9", "1/3"])
def test_any_folder_fits_the_spec_of_a_replay(folder: str) -> None:
    replay = Replay.of(Path(folder))
    assert attack(replay.spec) == replay
    with pytest.raises(InputError, match="holds no run") as caught:
        _ = replay.corpus
    assert str(caught.value).startswith(folder)


def test_a_stage_that_version_0_1_stored_still_says_what_it_is() -> None:
    assert Stage("Replay of x", "replay:/tmp/x", "query").info.cls is Replay


def test_a_transfer_without_points_says_so() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    x = torch.rand(3, 1, 2, 2)
    with pytest.raises(InputError, match="knows no points"):
        attack("transfer")(net, x, net(x).argmax(1), sp.Threat("Linf", 0.1))
