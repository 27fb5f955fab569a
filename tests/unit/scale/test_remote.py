"""Runs in an object store, on fsspec's store in memory: what is sent, brought, claimed and refused."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sparring.errors import InputError
from sparring.scale import remote
from sparring.scale.remote import CLAIM, brought, mirrored
from sparring.scale.store import Record, Store
from sparring.storage import OutputPathError, write

fsspec = pytest.importorskip("fsspec")
PLAN: dict[str, Any] = {"shards": 3, "seed": 1}


def make(number: int) -> Record:
    return {"rows": torch.arange(3) + 3 * number}, {"number": number}


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(remote, "BEAT", 0.02)
    name = f"memory://{uuid.uuid4().hex}/run"
    yield name
    fsspec.filesystem("memory").store.clear()


def there(url: str) -> dict[str, bytes]:
    """The files of a place, by name."""
    store, root = fsspec.core.url_to_fs(url)
    return {name[len(root) + 1 :]: store.cat_file(name) for name in store.find(root)}


def put(url: str, name: str, content: bytes) -> None:
    store, root = fsspec.core.url_to_fs(url)
    store.pipe_file(f"{root}/{name}", content)


def until(true: Any) -> None:
    end = time.monotonic() + 5
    while not true():
        assert time.monotonic() < end, "it did not come in five seconds"
        time.sleep(0.005)


def moves_of(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of what is sent (+) and removed (-) from now on."""
    done: list[str] = []
    send, remove = remote._Place.send, remote._Place.remove

    def sent(place: Any, home: Path, name: str) -> bool:
        done.append(f"+{name}")
        return send(place, home, name)

    def removed(place: Any, name: str) -> None:
        done.append(f"-{name}")
        remove(place, name)

    monkeypatch.setattr(remote._Place, "send", sent)
    monkeypatch.setattr(remote._Place, "remove", removed)
    return done


def claim(**values: object) -> bytes:
    return json.dumps({"token": "x", "pid": 1, "host": "elsewhere", "time": time.time(), **values}).encode()


def test_a_finished_shard_is_there_while_the_next_is_made(url: str) -> None:
    with mirrored(url) as home:
        work = Store.open(home, PLAN, resume=False).work(make)
        next(work)
        until(lambda: "shards/00000.safetensors" in there(url))
        assert "shards/00001.safetensors" not in there(url)
        assert "plan.json" in there(url)
        assert list(work) == [1, 2]
        local = {path.name: path.read_bytes() for path in (home / "shards").iterdir()}
    kept = there(url)
    assert {Path(name).name: one for name, one in kept.items() if name.startswith("shards/")} == local
    assert not any(name.startswith("leases") for name in kept), "leases are of this machine"
    assert CLAIM not in kept, "the claim is given back"
    assert not home.exists(), "the copy here is gone"


def test_the_plan_is_sent_before_the_shards_and_removed_after_them(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done = moves_of(monkeypatch)
    monkeypatch.setattr(remote, "BEAT", 60.0)
    with mirrored(url) as home:
        list(Store.open(home, PLAN, resume=False).work(make))
        write(home / "options.json", "{}")
    with mirrored(url) as home:
        Store.clear(home)
    moves = [one for one in done if CLAIM not in one]
    assert moves[0] == "+plan.json"
    assert moves[4] == "+shards/00002.safetensors"
    assert moves[5] == "-shards/00000.safetensors"
    assert moves[-1] == "-plan.json"
    assert set(there(url)) == {"options.json"}


def test_a_run_that_was_stopped_is_gone_on_with(url: str) -> None:

    def begin() -> None:
        with mirrored(url) as home:
            next(Store.open(home, PLAN, resume=False).work(make))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        begin()
    first = there(url)
    assert set(first) == {"plan.json", "shards/00000.safetensors"}, "what was finished is there"
    with mirrored(url) as home:
        assert list(Store.open(home, PLAN, resume=True).work(make)) == [1, 2]
    assert there(url)["shards/00000.safetensors"] == first["shards/00000.safetensors"]
    with brought(url) as home:
        assert Store.read(home).missing() == []


def test_errors_name_the_place_and_not_the_copy(url: str) -> None:
    with mirrored(url) as home:
        list(Store.open(home, PLAN, resume=False).work(make))
    with pytest.raises(InputError, match=f"^{url} holds this run already") as caught, mirrored(url) as home:
        Store.open(home, PLAN, resume=False)
    assert "sparring-" not in str(caught.value)
    with pytest.raises(InputError, match="holds no run: there is nothing there"), brought(f"{url}/elsewhere"):
        pass


def test_only_what_changed_is_sent_and_what_is_gone_is_removed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mirrored(url) as home:
        list(Store.open(home, PLAN, resume=False).work(make))
    moves = moves_of(monkeypatch)
    with mirrored(url) as home:
        (home / "shards" / "00001.safetensors").unlink()
        write(home / "report.md", "new")
        (home / ".report.json.abc.tmp").write_text("half")
    assert moves == ["-shards/00001.safetensors", "+report.md", f"-{CLAIM}"]
    assert set(there(url)) == {"plan.json", "report.md", "shards/00000.safetensors", "shards/00002.safetensors"}


def test_a_second_writer_is_refused_and_a_reader_is_not(url: str) -> None:
    with mirrored(url) as home:
        list(Store.open(home, PLAN, resume=False).work(make))
        with pytest.raises(InputError, match=r"is being written by process .* one writer: .* merge"), mirrored(url):
            pass
        until(lambda: len(there(url)) == 5)
        with brought(url) as copy:
            assert Store.read(copy).missing() == []
    assert CLAIM not in there(url)


def test_of_many_that_begin_at_once_one_writes(url: str) -> None:
    inside, refused = [], []
    together, over = threading.Barrier(6), threading.Event()

    def begin() -> None:
        together.wait()
        try:
            with mirrored(url):
                inside.append(1)
                over.wait(5)
        except InputError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for one in threads:
        one.start()
    until(lambda: len(inside) + len(refused) == 6)
    over.set()
    for one in threads:
        one.join()
    assert (len(inside), len(refused)) == (1, 5)


def test_the_claim_of_the_dead_is_void(url: str) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    put(url, CLAIM, claim(pid=gone.pid, host=socket.gethostname()))
    with mirrored(url):
        pass
    put(url, CLAIM, claim(time=time.time() - remote.STALE - 1))
    with mirrored(url):
        pass
    put(url, CLAIM, b"{")  # a file that nobody's process has written
    with mirrored(url):
        pass
    put(url, CLAIM, claim(time=time.time() - remote.STALE / 2))
    with pytest.raises(InputError, match="written by process 1 on elsewhere"), mirrored(url):
        pass


def test_a_writer_gives_signs_of_life(url: str) -> None:
    with mirrored(url):
        first = json.loads(there(url)[CLAIM])["time"]
        until(lambda: json.loads(there(url).get(CLAIM, b'{"time": 0}'))["time"] > first)


def test_who_lost_the_claim_sends_nothing_more_and_leaves_the_run_here(url: str) -> None:
    warned: list[str] = []
    homes: list[Path] = []

    def work() -> None:
        with mirrored(url, warned.append) as home:
            homes.append(home)
            list(Store.open(home, PLAN, resume=False).work(make))
            until(lambda: len(there(url)) == 5)
            put(url, CLAIM, claim(token="another"))
            until(lambda: warned)
            write(home / "report.md", "late")

    with pytest.raises(InputError, match=r"taken over the writing.*; the run lies in (.*): go on there") as caught:
        work()
    home = homes[0]
    assert "taken over" in warned[0]
    assert "report.md" not in there(url)
    assert json.loads(there(url)[CLAIM])["token"] == "another", "the claim of the other is left alone"
    assert str(home) in str(caught.value)
    assert Store.read(home).missing() == []
    shutil.rmtree(home)


def test_a_store_that_fails_for_a_while_is_tried_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warned: list[str] = []
    send, failing = remote._Place.send, [True]

    def shaky(self: Any, home: Path, name: str) -> bool:
        with self.errors():
            if failing[0]:
                raise TimeoutError("no answer")
        return send(self, home, name)

    monkeypatch.setattr(remote._Place, "send", shaky)
    with mirrored(url, warned.append) as home:
        list(Store.open(home, PLAN, resume=False).work(make))
        until(lambda: warned)
        failing[0] = False
    assert warned == [f"{url} cannot be used (TimeoutError: no answer); it is tried again"], "said once"
    assert len(there(url)) == 4
    failing[0] = True
    with pytest.raises(InputError, match=r"no answer\); the run lies in (.*): go on there"), mirrored(url) as home:
        write(home / "report.md", "new")
    assert (home / "report.md").read_text() == "new"
    shutil.rmtree(home)


def test_a_file_that_is_gone_before_it_is_sent_is_no_error_and_a_place_that_is_gone_is_one(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = remote._Place(url)
    assert not place.send(tmp_path, "report.md")
    write(tmp_path / "report.md", "new")
    assert place.send(tmp_path, "report.md")

    def no_bucket(*given: object) -> None:
        raise FileNotFoundError("the bucket does not exist")

    monkeypatch.setattr(place.fs, "put_file", no_bucket, raising=False)
    with pytest.raises(InputError, match="the bucket does not exist"):
        place.send(tmp_path, "report.md")


def test_who_stops_the_sending_too_keeps_the_run_here(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "BEAT", 60.0)

    def impatient(self: Any, home: Path, name: str) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(remote._Place, "send", impatient)
    with pytest.raises(InputError, match=r"stopped before everything was sent; the run lies in"), mirrored(url) as home:
        write(home / "report.md", "new")
    assert (home / "report.md").exists()
    shutil.rmtree(home)


def test_a_store_where_two_create_the_same_file_is_refused(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(fsspec.filesystem("memory"))
    plain = kind.pipe_file
    monkeypatch.setattr(kind, "pipe_file", lambda self, path, value, mode="overwrite": plain(self, path, value))
    with pytest.raises(InputError, match="lets two create the same file"), mirrored(url):
        pass


@pytest.mark.parametrize("scheme", ["sftp", "http", "ftp", "zip"])
def test_other_stores_are_refused_in_one_line(scheme: str) -> None:
    for way in (mirrored, brought):
        with pytest.raises(InputError, match=f"{scheme}:// is not known to keep files whole"), way(f"{scheme}://a/b"):
            pass


def test_a_missing_client_is_one_line_on_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(url: str, **options: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", missing)
    words = r"^s3://a/b cannot be used: Install s3fs to access S3; pip install sparring\[remote\]"
    with pytest.raises(InputError, match=words), brought("s3://a/b"):
        pass


def test_folders_are_left_as_they_are(tmp_path: Path) -> None:
    for given in (tmp_path / "run", f"file://{tmp_path}/run", Path(f"file://{tmp_path}/run")):
        for way in (mirrored, brought):
            with way(given) as home:
                assert home == tmp_path / "run"


def test_nothing_else_is_written_to_a_store_by_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OutputPathError, match=r"cannot write s3://bucket/weights.npz: only runs of sparring audit"):
        write(Path("s3://bucket/weights.npz"), b"")
    assert list(tmp_path.iterdir()) == []
