"""Files that are never half there, and one clear line when the disk says no."""

from __future__ import annotations

import errno
import json
import os
import tempfile
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
        handle, waiting = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
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


def write_json(path: Path, value: Any) -> None:
    """The same for plain values."""
    write_whole(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system lets one."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
