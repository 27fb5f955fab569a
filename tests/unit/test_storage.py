"""Files are whole or not there, and a disk that refuses is one line that names the path."""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from pathlib import Path

import pytest

from sparring import storage
from sparring.storage import OutputPathError, os_errors_as, replacing, sweep, write, write_json, write_new


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


@pytest.mark.parametrize("durable", [False, True])
def test_a_kill_before_the_rename_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    path = tmp_path / "file"
    write(path, b"old", durable=durable)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new", durable=durable)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_a_durable_file_is_on_the_disk_before_it_is_renamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append("fsync"), fsync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write(tmp_path / "a", b"1", durable=True)
    assert calls == ["fsync", "replace", "fsync"], "the contents, the name, the folder"
    calls.clear()
    write(tmp_path / "b", b"1")
    assert calls == ["replace"]


def test_permissions_are_those_of_the_umask(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write(tmp_path / "a", b"")
        write_new(tmp_path / "b", b"")
    finally:
        os.umask(old)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o640]


def test_a_new_file_never_takes_the_place_of_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "deep" / "file"
    assert write_new(path, "one")
    assert not write_new(path, "two")

    def no_links(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert not write_new(path, "three")
    assert path.read_text() == "one"
    assert write_new(path.with_name("other"), "four")
    assert names(path.parent) == ["file", "other"]


def test_json_is_strict_and_keeps_the_order(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"b": float("inf"), "a": [float("nan"), "é\ud800"], "c": (1,)})
    assert json.loads(path.read_text(encoding="utf-8")) == {"b": None, "a": [None, "é?"], "c": [1]}
    assert path.read_text(encoding="utf-8").index('"b"') < path.read_text(encoding="utf-8").index('"a"')


@pytest.mark.parametrize(("number", "hint"), [(number, hint) for number, hint in storage.HINTS.items()])
def test_an_error_of_the_file_system_is_one_line_with_a_hint(number: int, hint: str) -> None:
    with pytest.raises(OutputPathError) as caught, os_errors_as(Path("out/a.json")):
        raise OSError(number, os.strerror(number))
    assert str(caught.value) == f"cannot write out/a.json: {os.strerror(number)}{hint}"


def test_other_errors_pass(tmp_path: Path) -> None:
    def half(waiting: Path) -> None:
        waiting.write_text("half")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), replacing(tmp_path / "a") as waiting:
        half(waiting)
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_removed_when_it_is_old(tmp_path: Path) -> None:
    for name, age in ((".a.0.tmp", 400), (".b.0.tmp", 0), ("c.tmp", 400)):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert names(tmp_path) == [".b.0.tmp", "c.tmp"]


def test_a_zero_byte_in_a_path_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputPathError, match="no zero bytes"), os_errors_as(Path(f"{tmp_path}/a\0b")):
        raise AssertionError("never reached")
