"""A finished run that forgers change, and how it is verified."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from torch import Tensor, nn

import sparring as sp
from sparring.audit.run.verify import Verification, verify

SUITE = ["fgsm", "pgd:steps=5,loss=margin", "square:queries=20"]
REQUIRED = "robust@0.05 >= 10%"
Images = tuple[Tensor, Tensor]


@pytest.fixture(scope="session")
def finished(small_net: nn.Module, small_images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three shards, with a claim and a requirement."""
    folder = tmp_path_factory.mktemp("honest") / "run"
    known = {"suite": SUITE, "claims": ["fgsm=0.9"], "require": [REQUIRED], "folder": folder, "shard_size": 10}
    sp.audit(small_net, small_images, sp.Threat("Linf", 0.05), **known).save(folder)
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def check(small_net: nn.Module, small_images: Images) -> Callable[[Path], Verification]:
    return lambda folder: verify(folder, sp.wrap(small_net), small_images)
