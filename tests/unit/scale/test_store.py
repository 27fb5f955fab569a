"""The store of a run: whole files, leases, damage, kills at bad moments, disks that say no."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.errors import InputError
from sparring.scale import lease
from sparring.scale.lease import Lease
from sparring.scale.store import Record, Store

PLAN: dict[str, Any] = {"shards": 6, "seed": 1, "threat": {"norm": "Linf", "eps": 0.3}}


def make(number: int) -> Record:
    return {"rows": torch.arange(3) + 3 * number}, {"number": number, "note": "ä"}


def contents(store: Store) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((store.folder / "shards").glob("*.safetensors"))}


def test_a_run_is_made_shard_by_shard_and_read_again(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "run", PLAN, resume=False)
    assert store.missing() == [0, 1, 2, 3, 4, 5]
    assert list(store.work(make)) == [0, 1, 2, 3, 4, 5]
    assert store.missing() == []
    tensors, values = Store.read(tmp_path / "run").load(4)
    assert torch.equal(tensors["rows"], torch.tensor([12, 13, 14]))
    assert values == {"number": 4, "note": "ä"}
    assert list(store.work(make)) == [], "nothing is done twice"
    assert list((tmp_path / "run" / "leases").iterdir()) == [], "every lease was given back"


def test_another_plan_in_the_same_folder_is_refused_and_the_same_asks_for_resume(tmp_path: Path) -> None:
    Store.open(tmp_path, PLAN, resume=False)
    with pytest.raises(InputError, match="holds this run already; go on with it"):
        Store.open(tmp_path, PLAN, resume=False)
    Store.open(tmp_path, PLAN, resume=True).save(0, make(0))
    with pytest.raises(InputError, match=r"other settings: seed differs \(1 there and 2 here\); .* --force"):
        Store.open(tmp_path, {**PLAN, "seed": 2}, resume=True)
    with pytest.raises(InputError, match=r"other settings: claims differ \(null there"):
        Store.open(tmp_path, {**PLAN, "claims": ["fgsm"]}, resume=True)
    assert len(Store.open(tmp_path, PLAN, resume=True)) == 6


def test_a_run_without_a_finished_shard_is_begun_again_with_another_plan(tmp_path: Path) -> None:
    first = Store.open(tmp_path, PLAN, resume=False)
    first.save("head", make(0))
    second = Store.open(tmp_path, {**PLAN, "seed": 2}, resume=False)
    assert not second.done("head")
    assert Store.read(tmp_path).plan["seed"] == 2
    second.save(3, make(3))
    with pytest.raises(InputError, match="seed differs"):
        Store.open(tmp_path, PLAN, resume=False)


def test_what_differs_is_said_in_words(tmp_path: Path) -> None:
    plan = {**PLAN, "model": {"name": "a", "mean": [0.5], "std": [0.5]}}
    Store.open(tmp_path, plan, resume=False).save(0, make(0))
    other = {**plan, "model": {"name": "a", "mean": [0.1], "std": [0.3]}}
    with pytest.raises(InputError, match=r"mean and std of the model differ \(mean is \[0.5\] there and \[0.1\] here"):
        Store.open(tmp_path, other, resume=True)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no run"):
        Store.read(tmp_path)
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        Store.read(tmp_path)
    (tmp_path / "plan.json").write_text("[1]")
    with pytest.raises(InputError, match="is not the plan of a run"):
        Store.read(tmp_path)


@pytest.mark.parametrize("harm", ["cut", "flipped", "empty", "garbage"])
def test_a_damaged_shard_is_found_put_aside_and_made_anew(tmp_path: Path, harm: str) -> None:
    store = Store.open(tmp_path, PLAN, resume=False)
    list(store.work(make))
    before = contents(store)
    path = store.path(2)
    data = bytearray(path.read_bytes())
    data[-4] ^= 1
    path.write_bytes({"cut": bytes(data[:-3]), "flipped": bytes(data), "empty": b"", "garbage": b"x" * 300}[harm])
    with pytest.raises(InputError, match=r"shard 2 of .* is damaged .* --resume"):
        store.load(2)
    assert store.missing() == [2]
    assert path.with_suffix(".damaged").exists()
    assert list(store.work(make)) == [2]
    assert contents(store) == before


def test_mending_looks_at_all_shards(tmp_path: Path) -> None:
    store = Store.open(tmp_path, PLAN, resume=False)
    list(store.work(make))
    for number in (1, 5):
        store.path(number).write_bytes(b"no")
    assert store.mend() == [1, 5]
    assert store.missing() == [1, 5]
    with pytest.raises(InputError, match=r"shard 1 of .* is not there"):
        store.load(1)


def test_a_lease_of_somebody_alive_is_respected(tmp_path: Path) -> None:
    store = Store.open(tmp_path, PLAN, resume=False)
    mine = Lease(tmp_path / "leases" / "00003")
    assert mine.take()
    assert not Lease(tmp_path / "leases" / "00003").take()
    assert list(store.work(make)) == [0, 1, 2, 4, 5]
    mine.free()
    assert list(store.work(make)) == [3]


def test_a_lease_of_a_dead_process_or_a_silent_machine_is_taken_over(tmp_path: Path) -> None:
    dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    path = tmp_path / "leases" / "1"
    path.parent.mkdir()
    host = os.uname().nodename
    path.write_text(json.dumps({"token": "x", "pid": int(dead.stdout), "host": host}))
    assert Lease(path).take()
    path.write_text(json.dumps({"token": "x", "pid": 1, "host": "elsewhere"}))
    assert not Lease(path).take(), "its last sign of life is fresh"
    long_ago = time.time() - lease.STALE - 5
    os.utime(path, (long_ago, long_ago))
    new = Lease(path)
    assert new.take()
    old = Lease(path)
    old.free()
    assert path.exists(), "only its owner gives a lease back"
    new.free()
    assert not path.exists()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_child_that_is_dead_but_not_waited_for_holds_no_lease(tmp_path: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    path = tmp_path / "1"
    path.write_text(json.dumps({"token": "x", "pid": child.pid, "host": os.uname().nodename}))
    deadline = time.time() + 30
    while not (taken := Lease(path).take()) and time.time() < deadline:
        time.sleep(0.05)
    assert taken
    child.wait()


def test_a_lease_shows_signs_of_life_and_is_given_back_after_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.02)
    one = Lease(tmp_path / "1")
    assert one.take()
    os.utime(one.path, (0, 0))

    def fail() -> None:
        with one.held():
            time.sleep(0.3)
            assert one.path.stat().st_mtime > 1e9
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not one.path.exists()


WORKER = """
import sys, time, torch
from pathlib import Path
from sparring.scale.store import Store
store = Store.read(Path(sys.argv[1]))
def make(number):
    time.sleep(float(sys.argv[2]))
    Path(sys.argv[1], "log").open("a").write(f"{number}\\n")
    return {"rows": torch.arange(3) + 3 * number}, {"number": number, "note": "ä"}
for _ in store.work(make):
    pass
"""


def worker(folder: Path, pause: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(folder), str(pause)])


@pytest.mark.long
def test_killed_workers_lose_nothing_and_the_result_is_the_same(tmp_path: Path) -> None:
    whole = Store.open(tmp_path / "whole", PLAN, resume=False)
    list(whole.work(make))
    store = Store.open(tmp_path / "killed", PLAN, resume=False)
    first = worker(store.folder, 0.4)
    deadline = time.time() + 60
    while len(store.missing()) > 4 and time.time() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    left = store.missing()
    assert left
    assert worker(store.folder, 0.0).wait() == 0
    assert store.missing() == []
    assert contents(store) == contents(whole)
    log = [int(line) for line in (store.folder / "log").read_text().split()]
    assert [number for number in log if number not in left] == [n for n in range(6) if n not in left], "not repeated"


def test_two_workers_share_the_shards(tmp_path: Path) -> None:
    store = Store.open(tmp_path, PLAN, resume=False)
    workers = [worker(tmp_path, 0.2) for _ in range(2)]
    assert [one.wait() for one in workers] == [0, 0]
    log = sorted(int(line) for line in (tmp_path / "log").read_text().split())
    assert log == [0, 1, 2, 3, 4, 5], "each shard once"
    assert store.missing() == []


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "disk is full"), (errno.EROFS, "Read-only"), (errno.EACCES, "no permission"), (errno.EIO, "I")],
)
def test_a_disk_that_says_no_is_one_clear_line_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, says: str
) -> None:
    store = Store.open(tmp_path, PLAN, resume=False)
    store.save(0, make(0))

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(InputError, match=f"cannot write .*{says}") as caught:
        store.save(1, make(1))
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["00000.safetensors"]
    assert store.load(0)[1]["number"] == 0
    assert list(store.work(make)) == [1, 2, 3, 4, 5]
