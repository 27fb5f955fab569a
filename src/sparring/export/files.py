"""Files that are either the old ones or the new ones, whole, and folders that are not overwritten by accident.

Every problem of the file system becomes one line that names the path (`OutputPathError`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sparring.errors import InputError
from sparring.result import finite

MARK = ".sparring"
MARK_TEXT = "sparring wrote this folder, and may replace what it wrote.\n"
"the file by which a folder that was written by this package is known"


class OutputPathError(InputError):
    """A file or folder cannot be written, or must not be."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a new file to write to, which takes the place of `path` at the end of the block; after an error it is
    removed, and what was at `path` stays. Links are followed; what is no regular file (a pipe) is written directly.

    Raises:
        OutputPathError: the file system refuses.
    """
    with telling(path):
        if path.is_dir():
            raise OutputPathError(f"{path} is a folder; a file is to be written there")
        if path.exists() and not path.is_file():
            yield path
            return
        home = path.resolve()
        home.parent.mkdir(parents=True, exist_ok=True)
        waiting = home.with_name(f".{home.name}.{os.getpid()}.tmp")
        try:
            yield waiting
            os.replace(waiting, home)
        finally:
            waiting.unlink(missing_ok=True)


@contextmanager
def telling(path: Path) -> Iterator[None]:
    """Errors of the file system inside the block, in one line about `path`."""
    try:
        yield
    except OSError as error:
        raise OutputPathError(f"cannot write {path}: {error.strerror or error}") from error


def write_json(content: Any, path: Path) -> None:
    """Plain values as strict JSON: infinite and unknown numbers become null."""
    text = json.dumps(finite(content), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with replacing(path) as waiting:
        # A class name may hold half of a surrogate pair, which UTF-8 does not know.
        waiting.write_text(text, encoding="utf-8", errors="replace")


def check_writable(path: Path) -> None:
    """Find out before the work whether a file can be written to `path` after it; makes the folder that it goes to.

    Raises:
        OutputPathError: no.
    """
    with telling(path):
        if path.is_dir():
            raise OutputPathError(f"{path} is a folder; name the file to write")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise OutputPathError(f"cannot write {path}: no permission")


def open_folder(folder: Path, *, force: bool = False) -> Path:
    """Make `folder`, or make sure that it may be written to: it is new, empty, or was written by this package.

    Args:
        force: take any folder; files of other names in it stay.

    Raises:
        OutputPathError: it is a file, or holds what is not ours, or the file system refuses.
    """
    with telling(folder):
        if folder.exists() and not folder.is_dir():
            raise OutputPathError(f"{folder} is a file; name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        held = sorted(child.name for child in folder.iterdir())
        if held and MARK not in held and not force:
            shown = ", ".join(held[:3]) + (", ..." if len(held) > 3 else "")
            raise OutputPathError(
                f"{folder} holds files that sparring did not write ({shown}); name another folder, or use --force "
                "(force=True) to write beside them"
            )
        (folder / MARK).write_text(MARK_TEXT, encoding="utf-8")
    return folder


def clear(folder: Path, names: Sequence[str]) -> None:
    """Remove those files of an earlier run that match `names` (patterns of `Path.glob`), and nothing else."""
    with telling(folder):
        for pattern in names:
            for path in folder.glob(pattern):
                if path.is_file() or path.is_symlink():
                    path.unlink()
