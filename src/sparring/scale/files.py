"""Files that are never half there, and one clear line when the disk says no."""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparring.errors import InputError

SAYS = {
    errno.ENOSPC: "the disk is full: make room and run again with --resume, what is done is kept",
    errno.EDQUOT: "the quota is used up: make room and run again with --resume, what is done is kept",
    errno.EROFS: "the file system is read-only: give a folder elsewhere",
    errno.EACCES: "no permission to write there: give a folder elsewhere",
    errno.EPERM: "no permission to write there: give a folder elsewhere",
    errno.ENOTDIR: "part of the path is a file: give another folder",
}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Errors of the file system as one line that says what to do."""
    try:
        yield
    except OSError as error:
        why = SAYS.get(error.errno or 0, f"{error.strerror or error}: give another folder")
        raise InputError(f"cannot write {path}: {why}") from None


def write_whole(path: Path, contents: bytes) -> None:
    """Write a file so that readers, and a kill at any moment, see the old one or the new one, never a part.

    Raises:
        InputError: the disk is full, read-only ...; no rest of the attempt is left behind.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, waiting = _waiting(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())  # else the rename may reach the disk before the contents
            os.replace(waiting, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(waiting)
            raise
    _sync_folder(path.parent)


def write_new(path: Path, contents: bytes) -> bool:
    """The same, unless the file is there: then False, also where another process is quicker."""
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, waiting = _waiting(path)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(contents)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(waiting, path)  # fails where the name is taken, unlike a rename
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links
                if path.exists():
                    return False
                os.replace(waiting, path)
        finally:
            with suppress(OSError):
                os.unlink(waiting)
    _sync_folder(path.parent)
    return True


def json_bytes(value: Any) -> bytes:
    """Plain values as the text of a file."""
    return (json.dumps(value, indent=1, sort_keys=True) + "\n").encode()


def write_json(path: Path, value: Any) -> None:
    """Plain values, whole or not at all."""
    write_whole(path, json_bytes(value))


def sweep(folder: Path, age: float = 300.0) -> None:
    """Remove what killed processes left half-written `age` seconds ago or earlier."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > age:
                path.unlink()


def _waiting(path: Path) -> tuple[int, Path]:
    """A new file beside `path`, open for writing, that others may read as the user's umask says."""
    waiting = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    return os.open(waiting, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666), waiting


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system lets one."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
