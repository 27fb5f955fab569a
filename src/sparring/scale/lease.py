"""Leases: who works on which shard, so that two never do the same, and the work of the dead is taken over.

A lease is a file that only one process can create. Its owner touches it while it works; one that has not been touched
for `STALE` seconds, or whose process on this machine is gone, is broken by a rename that only one process can win.
"""

from __future__ import annotations

import json
import os
import re
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sparring.scale.beat import every
from sparring.storage import os_errors_as

STALE = 60.0
"seconds without a sign of life after which a lease is void; clocks of several machines may differ by less"
BEAT = 5.0
"seconds between two signs of life"
HOST = r"[\w.-]{0,255}"
"what a machine may be called"


class Lease:
    """One claim on one shard.

    Args:
        path: of the lease's file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.token = uuid.uuid4().hex

    def take(self) -> bool:
        """Try to get it; False where somebody alive has it."""
        with os_errors_as(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            if self._create():
                return True
            if not self._void():
                return False
            grave = self.path.with_name(f".{self.path.name}.{self.token}")
            try:
                os.rename(self.path, grave)  # one of those who try wins
            except FileNotFoundError:
                return self._create()
            grave.unlink(missing_ok=True)
            return self._create()

    def free(self) -> None:
        """Give it back; a lease that somebody else has broken meanwhile is left alone."""
        if self._read().get("token") == self.token:
            self.path.unlink(missing_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Signs of life from a thread of its own; given back at the end, also after an error."""

        def touch() -> bool:
            try:
                os.utime(self.path)
            except OSError:
                return False  # broken by others: the file is written whole anyway, and says the same
            return True

        try:
            with every(BEAT, touch):
                yield
        finally:
            self.free()

    def _create(self) -> bool:
        try:
            handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(_text(self.token, os.getpid(), socket.gethostname()))
        return True

    def _read(self) -> dict[str, object]:
        try:
            found = json.loads(self.path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _void(self) -> bool:
        try:
            silent = time.time() - self.path.stat().st_mtime
        except FileNotFoundError:
            return True
        owner = self._read()
        if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
            return silent > STALE or not alive(int(str(owner["pid"])))
        return silent > STALE


def is_lease(content: bytes) -> bool:
    """A file holds what a lease holds, and nothing else: its owner, or nothing yet."""
    try:
        found = json.loads(content or b"null")
    except ValueError:
        return False
    if not isinstance(found, dict):
        return not content
    token, pid, host = found.get("token"), found.get("pid"), found.get("host")
    if not (isinstance(token, str) and isinstance(pid, int) and isinstance(host, str)):
        return False
    named = re.fullmatch("[0-9a-f]{32}", token) and re.fullmatch(HOST, host)
    return bool(named) and content == _text(token, pid, host).encode()


def _text(token: str, pid: int, host: str) -> str:
    return json.dumps({"token": token, "pid": pid, "host": host})


def alive(pid: int) -> bool:
    """Does this process run on this machine? Not one that is dead, and that its parent has not asked about yet."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except (OSError, IndexError):  # no such folder on this system
        return True
