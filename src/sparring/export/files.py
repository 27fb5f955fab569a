"""Folders that are not overwritten by accident, and a look before the work at whether its results can be written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from sparring.storage import OutputPathError, os_errors_as

MARK = ".sparring"
MARK_TEXT = "sparring wrote this folder, and may replace what it wrote.\n"
"the file by which a folder that was written by this package is known"


def check_writable(path: Path) -> None:
    """Find out before the work whether a file can be written to `path` after it; makes the folder that it goes to.

    Raises:
        OutputPathError: no.
    """
    with os_errors_as(path):
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
    with os_errors_as(folder):
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
    with os_errors_as(folder):
        for pattern in names:
            for path in folder.glob(pattern):
                if path.is_file() or path.is_symlink():
                    path.unlink()
