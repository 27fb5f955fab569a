"""The same audit by jobs and by workers of a cluster: the same report, also where one is killed in the middle."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

Run = Callable[..., tuple[int, str, str]]

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra sparring[ray]")
needs_submitit = pytest.mark.skipif(find_spec("submitit") is None, reason="needs the extra sparring[slurm]")

NET = """
import os
import time
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).parent

class Watched(nn.Flatten):
    "Leaves the number of its process; sleeps as long as the file `pause` says."
    def forward(self, x):
        (HERE / "pids" / str(os.getpid())).touch()
        time.sleep(float((HERE / "pause").read_text()))
        return super().forward(x)

def build():
    "Sixteen grey pixels, three classes, linear: each class is the sum of its own five pixels."
    net = nn.Sequential(Watched(), nn.Linear(16, 3, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        for k in range(3):
            net[1].weight[k, 5 * k : 5 * k + 5] = 1.0
    return net
"""
SUITE = """
name: tiny
subset: 2
stages:
  - fgsm
  - square:queries=10
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "pids").mkdir()
    (tmp_path / "pause").write_text("0")
    (tmp_path / "suite.yaml").write_text(SUITE)
    x, y = np.full((24, 4, 4, 1), 0.2, dtype=np.float32), np.arange(24) % 3
    for i, k in enumerate(y):
        x[i].reshape(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    np.savez(tmp_path / "images.npz", x=x, y=y)
    return tmp_path


def audit(home: Path, out: str, *more: object, factory: str = "build") -> list[object]:
    fixed: list[object] = ["audit", "--model", f"{home / 'net.py'}:{factory}", "--data", f"npz:{home / 'images.npz'}"]
    return [*fixed, "--eps", 0.05, "--suite", home / "suite.yaml", "--shard-size", 4, "--out", home / out, *more]


def plain(folder: Path) -> dict[str, Any]:
    """The report less what tells the time."""
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    for name in ("seconds", "created", "seal", "shards"):
        document.pop(name, None)
    for one in document["attacks"]:
        del one["seconds"]
    return document


def kill_one_worker(home: Path, killed: list[int]) -> None:
    """Kill another process that asks the model, as soon as there is one; from then on the model is fast again."""
    deadline = time.time() + 120
    while time.time() < deadline and not killed:
        others = [int(path.name) for path in (home / "pids").iterdir() if int(path.name) != os.getpid()]
        if others:
            os.kill(others[0], signal.SIGKILL)
            killed.append(others[0])
        time.sleep(0.02)
    (home / "pause").write_text("0")


@pytest.mark.long
@pytest.mark.parametrize(
    "cluster",
    [
        pytest.param(("--slurm", "cluster=local", "--workers", 2), id="slurm", marks=needs_submitit),
        pytest.param(("--ray", "--workers", 2), id="ray", marks=needs_ray),
    ],
)
@pytest.mark.parametrize("kill", [False, True], ids=["whole", "one killed"])
def test_a_cluster_gives_the_report_of_one_process(
    cluster: tuple[object, ...], kill: bool, home: Path, run: Run
) -> None:
    code, _, stderr = run(*audit(home, "alone", "--quiet"))
    assert code == 0, stderr
    for path in (home / "pids").iterdir():
        path.unlink()
    killed: list[int] = []
    killer = threading.Thread(target=kill_one_worker, args=(home, killed))
    if kill:
        (home / "pause").write_text("0.05")
        killer.start()
    code, _, stderr = run(*audit(home, "shared", *cluster, "--quiet"))
    if kill:
        killer.join()
        assert killed
    assert code == 0, stderr
    assert plain(home / "shared") == plain(home / "alone")
    assert {int(path.name) for path in (home / "pids").iterdir()} - {os.getpid()}, "nobody else did any work"
    assert run("verify", home / "shared", "--trust", "--quiet")[0] == 0


@needs_submitit
def test_a_bad_parameter_of_slurm_is_one_line(home: Path, run: Run) -> None:
    code, _, stderr = run(*audit(home, "bad", "--slurm", "cluster=local,colour=blue"))
    assert code == 2
    assert "submitit refuses this" in stderr
    code, _, stderr = run(*audit(home, "bad", "--slurm", "nonsense"))
    assert code == 2
    assert "write key=value" in stderr


def test_a_cluster_needs_a_folder(home: Path, run: Run) -> None:
    words = [word for word in audit(home, "x") if word not in ("--out", home / "x")]
    for cluster in ("--ray", "--slurm"):
        code, _, stderr = run(*words, cluster)
        assert code == 2
        assert f"{cluster} needs the folder that the work is kept in: --out DIR" in stderr
    code, _, stderr = run(*audit(home, "x"), "--ray", "--slurm")
    assert (code, "cannot be combined" in stderr) == (2, True)


@needs_ray
@pytest.mark.long
def test_no_cluster_at_the_address_is_one_line(home: Path, run: Run) -> None:
    code, _, stderr = run(*audit(home, "nowhere", "--ray", "auto"))
    assert code == 2
    assert "no cluster there" in stderr
    assert stderr.strip().splitlines()[-1].startswith("sparring: ")
