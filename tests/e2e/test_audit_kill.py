"""What may happen to a long audit: kills at any moment, a full disk, a damaged file, two at once. The result stays."""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparring.cli.audit.executors.processes import AGAIN

NET = """
import time
from pathlib import Path

import torch
from torch import nn

PAUSE = Path(__file__).with_name("pause")

class Slow(nn.Flatten):
    def forward(self, x):
        time.sleep(float(PAUSE.read_text() or 0))
        return super().forward(x)

def build():
    "Sixteen grey pixels, three classes, linear: each class is the sum of its own five pixels."
    net = nn.Sequential(Slow(), nn.Linear(16, 3, bias=False))
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
SHARDS = 6

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A net, images and a suite in files."""
    home = tmp_path_factory.mktemp("kill")
    (home / "net.py").write_text(NET)
    pause(home, 0)
    (home / "suite.yaml").write_text(SUITE)
    x, y = np.full((24, 4, 4, 1), 0.2, dtype=np.float32), np.arange(24) % 3
    for i, k in enumerate(y):
        x[i].reshape(-1)[5 * k : 5 * k + 5] += 0.05 + 0.02 * (i // 3)
    np.savez(home / "images.npz", x=x, y=y)
    return home


def words(home: Path, out: Path, *more: object) -> list[str]:
    data, suite = f"npz:{home / 'images.npz'}", home / "suite.yaml"
    fixed = ["audit", "--model", f"{home / 'net.py'}:build", "--data", data, "--eps", 0.05, "--suite", suite]
    return [str(word) for word in (*fixed, "--shard-size", 4, "--workers", 1, "--out", out, *more)]


def pause(home: Path, seconds: float) -> None:
    """How long the net sleeps at each pass from now on, in every process."""
    (home / "pause.new").write_text(str(seconds))
    (home / "pause.new").replace(home / "pause")


def hear_ctrl_c() -> None:
    """What was started in the background by a shell ignores Ctrl-C, and so would what it starts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(home: Path, out: Path, *more: object) -> subprocess.Popen[bytes]:
    """The command in a process of its own; from its first shard on the net is slow."""
    pause(home, 0)
    command = [sys.executable, "-c", AGAIN, *words(home, out, *more)]
    process = subprocess.Popen(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        preexec_fn=hear_ctrl_c,
    )
    wait_for(lambda: "head" in shards(out) or process.poll() is not None)
    pause(home, 0.3)
    return process


def worker_of(driver: subprocess.Popen[bytes], out: Path) -> int:
    """The other process, once it is at work."""
    (worker,) = wait_for(lambda: owners(out) - {driver.pid})
    return int(worker)


def plain(folder: Path) -> dict[str, Any]:
    """The report less what tells the time."""
    document: dict[str, Any] = json.loads((folder / "report.json").read_text())
    for name in ("seconds", "created", "seal", "shards"):
        document.pop(name, None)
    for one in document["attacks"]:
        del one["seconds"]
    return document


def shards(folder: Path) -> dict[str, int]:
    """The shards that are there, and when each was written."""
    return {path.stem: path.stat().st_mtime_ns for path in folder.glob("shards/*.safetensors")}


def wait_for(what: Callable[[], Any], seconds: float = 180) -> Any:
    deadline = time.time() + seconds
    while not (found := what()):
        assert time.time() < deadline, "it does not come"
        time.sleep(0.01)
    return found


def owners(folder: Path) -> set[int]:
    """The processes that hold leases."""
    found = set()
    for path in folder.glob("leases/0*"):
        try:
            found.add(int(json.loads(path.read_text())["pid"]))
        except (OSError, ValueError):
            continue  # given back, or just being written
    return found


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """The run that nothing happens to."""
    out = home / "whole"
    pause(home, 0)
    assert subprocess.run([sys.executable, "-c", AGAIN, *words(home, out, "--quiet")], check=False).returncode == 0
    assert len(shards(out)) == SHARDS + 1
    return out


@pytest.mark.long
def test_killed_worker_then_killed_driver_then_resumed(run: Run, home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    driver = start(home, out, "--quiet", "--workers", 2)
    worker = worker_of(driver, out)
    time.sleep(random.Random().uniform(0, 0.5))
    os.kill(worker, signal.SIGKILL)
    pause(home, 0.01)
    wait_for(lambda: len(shards(out)) >= 3)
    time.sleep(random.Random().uniform(0, 0.2))
    driver.kill()
    driver.wait()
    before = shards(out)
    assert len(before) < SHARDS + 1, "it was killed too late to mean anything"
    assert not (out / "report.json").exists()
    pause(home, 0)
    code, _, stderr = run(*words(home, out, "--quiet", "--resume"))
    assert code == 0, stderr
    assert plain(out) == plain(whole)
    after = shards(out)
    assert {name: after[name] for name in before} == before, "what was done is not done again"


@pytest.mark.long
def test_a_killed_worker_costs_nothing_but_time(home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    driver = start(home, out, "--quiet", "--workers", 2)
    os.kill(worker_of(driver, out), signal.SIGKILL)
    pause(home, 0)
    assert driver.wait() == 0
    assert plain(out) == plain(whole)


@pytest.mark.long
def test_ctrl_c_says_where_the_run_lies_and_how_to_go_on(run: Run, home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run [/b]"
    driver = start(home, out, "--quiet")
    driver.send_signal(signal.SIGINT)
    _, said = driver.communicate()
    assert driver.returncode == 130
    begins = f"sparring: stopped: the run lies in {out}; go on with: sparring audit "
    assert said.decode().startswith(begins)
    assert " --resume " in said.decode()
    assert said.decode().count("\n") == 1
    pause(home, 0)
    code, _, stderr = run(*words(home, out, "--quiet", "--resume"))
    assert code == 0, stderr
    assert plain(out) == plain(whole)


@pytest.mark.long
def test_a_worker_stops_when_its_driver_is_gone_and_another_takes_over(
    run: Run, home: Path, whole: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    driver = start(home, out, "--quiet", "--workers", 2)
    worker = worker_of(driver, out)
    driver.kill()
    driver.wait()
    pause(home, 0.01)

    def gone() -> bool:
        try:
            return Path(f"/proc/{worker}/stat").read_text().split()[2] == "Z"
        except OSError:
            return True

    if sys.platform == "linux":
        wait_for(gone)
        assert len(shards(out)) < SHARDS + 1, "it finished its shard, no more"
    pause(home, 0)
    assert run(*words(home, out, "--quiet", "--resume"))[0] == 0
    assert plain(out) == plain(whole)


@pytest.mark.long
def test_two_at_once_share_the_work(run: Run, home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    other = start(home, out, "--quiet")
    wait_for(lambda: owners(out))
    pause(home, 0.005)
    code, _, stderr = run(*words(home, out, "--quiet", "--resume"))
    assert code == 0, stderr
    assert other.wait() == 0
    assert plain(out) == plain(whole)
    pause(home, 0)


# --- without kills ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "says"), [(errno.ENOSPC, "disk is full"), (errno.EROFS, "Read-only")])
def test_a_full_or_read_only_disk_is_one_line_and_no_loss(
    run: Run, home: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    out, left = tmp_path / "run", iter(range(4))
    sync = os.fsync

    def fails(handle: int) -> None:
        if next(left, None) is None:
            raise OSError(number, os.strerror(number))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fails)
    code, stdout, stderr = run(*words(home, out, "--quiet"))
    assert (code, stdout) == (2, "")
    assert says in stderr
    assert len(stderr.strip().splitlines()) == 1
    monkeypatch.undo()
    assert list(out.glob("shards/.*")) == []
    assert run(*words(home, out, "--quiet", "--resume"))[0] == 0
    assert plain(out) == plain(whole)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission(run: Run, home: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        code, _, stderr = run(*words(home, tmp_path / "run"))
    finally:
        tmp_path.chmod(0o700)
    assert code == 2
    assert stderr.startswith("sparring: cannot write")


def test_a_place_that_cannot_be_written(run: Run, home: Path) -> None:
    code, _, stderr = run(*words(home, Path("/dev/null/run")))
    assert code == 2
    assert stderr.startswith("sparring: cannot write /dev/null/run")
    assert len(stderr.strip().splitlines()) == 1


def test_a_corrupt_shard_is_made_anew(run: Run, home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*words(home, out, "--quiet"))[0] == 0
    path = out / "shards" / "00002.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    code, stdout, _ = run("verify", out, "--trust")
    assert code == 1
    assert "shard 2" in stdout
    assert not list(out.glob("shards/*.damaged")), "verifying changes nothing"
    code, _, stderr = run(*words(home, out, "--resume"))
    assert code == 0, stderr
    assert plain(out) == plain(whole)
    assert list(out.glob("shards/*.damaged"))


def test_one_folder_one_run(run: Run, home: Path, whole: Path) -> None:
    code, _, stderr = run(*words(home, whole))
    assert code == 2
    assert "holds this run already; go on with it (--resume)" in stderr
    code, _, stderr = run(*words(home, whole, "--resume", "--seed", 5))
    assert code == 2
    assert "holds a run with other settings: seed differs (0 there and 5 here)" in stderr


def test_force_forgets_the_old_run(run: Run, home: Path, whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert run(*words(home, out, "--quiet", "--seed", 5))[0] == 0
    assert run(*words(home, out, "--quiet", "--force"))[0] == 0
    assert plain(out) == plain(whole)


@pytest.mark.parametrize("flags", [["--resume"], ["--workers", 2], ["--shard", "1/2"]])
def test_what_is_kept_needs_a_folder(run: Run, home: Path, flags: list[object]) -> None:
    audit = words(home, home / "none")
    code, _, stderr = run(*audit[: audit.index("--workers")], *flags)
    assert code == 2
    assert f"{flags[0]} needs the folder that the work is kept in: --out DIR" in stderr
