"""Files that are either the old ones or the new ones, whole, and one clear line when the disk refuses.

Every writer of the package goes through `replacing`: it fills a file beside the wanted one and renames it.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparring.errors import InputError

HINTS = {
    errno.ENOSPC: "; the disk is full: make room and run again (an audit goes on with --resume)",
    errno.EDQUOT: "; the quota is used up: make room and run again (an audit goes on with --resume)",
    errno.EROFS: "; give a folder elsewhere",
    errno.EACCES: "; there is no permission: give a folder elsewhere",
    errno.EPERM: "; there is no permission: give a folder elsewhere",
    errno.ENOTDIR: "; part of the path is a file: give another folder",
}
"what to do about an error of the file system"
LOCAL_SCHEMES = ("file", "local")
"of URLs that name a folder of this machine"


class OutputPathError(InputError):
    """A file or folder cannot be written, or must not be."""


@contextmanager
def os_errors_as(path: Path) -> Iterator[None]:
    """Errors of the file system inside the block, in one line about `path` that says what to do.

    Raises:
        OutputPathError: in place of any OSError.
    """
    if "\0" in str(path):
        raise OutputPathError(f"cannot write {str(path)!r}: the name of a file has no zero bytes")
    if (url := store_url(path)) is not None:
        raise OutputPathError(f"cannot write {url}: only runs of sparring audit go into an object store; name a folder")
    try:
        yield
    except OSError as error:
        raise OutputPathError(
            f"cannot write {path}: {error.strerror or error}{HINTS.get(error.errno or 0, '')}"
        ) from None


@contextmanager
def replacing(path: Path, *, durable: bool = False) -> Iterator[Path]:
    """Gives a new file to write to, which takes the place of `path` at the end of the block; its folders are made.

    A reader, and a kill at any moment, sees the old file or the new one, never a part. After an error the new file is
    removed, and what was at `path` stays. Links are followed; what is no regular file (a pipe) is written directly.

    Args:
        durable: also outlast a power cut: wait until the contents, and then the rename, are on the disk.

    Raises:
        OutputPathError: `path` is a folder, or the file system refuses.
    """
    with os_errors_as(path):
        if path.is_dir():
            raise OutputPathError(f"{path} is a folder; a file is to be written there")
        if path.exists() and not path.is_file():
            yield path
            return
        home = path.resolve()
        home.parent.mkdir(parents=True, exist_ok=True)
        waiting = _beside(home)
        try:
            yield waiting
            if durable:
                _sync(waiting)  # else the rename may reach the disk before the contents
            os.replace(waiting, home)
        finally:
            with suppress(OSError):
                waiting.unlink(missing_ok=True)
        if durable:
            with suppress(OSError):  # not every system can sync a folder
                _sync(home.parent)


def write(path: str | Path, content: str | bytes, *, durable: bool = False) -> Path:
    """Write a file whole or not at all, text as UTF-8; the path. Arguments and errors: see `replacing`."""
    path = Path(path)
    with replacing(path, durable=durable) as waiting:
        waiting.write_bytes(_encoded(content))
    return path


def write_json(path: str | Path, content: Any) -> Path:
    """Plain values as strict JSON: infinite and unknown numbers become null; the path."""
    return write(path, json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def write_new(path: Path, content: str | bytes) -> bool:
    """Write a file, durably, unless it is there: then False, also where another process is quicker.

    Raises:
        OutputPathError: the file system refuses.
    """
    with os_errors_as(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = _beside(path)
        try:
            waiting.write_bytes(_encoded(content))
            _sync(waiting)
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
                waiting.unlink(missing_ok=True)
        with suppress(OSError):
            _sync(path.parent)
    return True


def store_url(path: str | Path) -> str | None:
    """The URL that a path stands for, such as a place in an object store; None where it is a path.

    `Path` makes one of two slashes; here they are two again.

    >>> store_url(Path("s3://bucket/runs/mine")), store_url("file:///tmp/x"), store_url("runs/mine")
    ('s3://bucket/runs/mine', 'file:///tmp/x', None)
    """
    found = re.match(r"([a-z][a-z0-9+.-]+):/+(.+)", str(path), re.DOTALL)
    if found is None:
        return None
    scheme, rest = found.groups()
    return f"{scheme}://{'/' if scheme in LOCAL_SCHEMES else ''}{rest}"


def sweep(folder: Path, age: float = 300.0) -> None:
    """Remove what killed processes left half-written `age` seconds ago or earlier."""
    for path in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > age:
                path.unlink()


def finite(value: Any) -> Any:
    """Plain values as strict JSON knows them: NaN and infinities become None."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value


def _beside(path: Path) -> Path:
    """A name beside `path` that nobody else uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def _encoded(content: str | bytes) -> bytes:
    """Text as UTF-8. A class name may hold half of a surrogate pair, which UTF-8 does not know."""
    return content.encode(errors="replace") if isinstance(content, str) else content


def _sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
