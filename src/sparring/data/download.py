"""Downloads that can be trusted: several mirrors, retries, size and SHA-256 checks, atomic renames."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from sparring.data.errors import DataError

CHUNK = 1 << 16


@dataclass(frozen=True)
class Remote:
    """One file on the mirrors: its name, its size in bytes and its SHA-256 in hex."""

    name: str
    size: int
    sha256: str


class DownloadError(DataError):
    """No mirror delivered the file; `reasons` says why, by URL."""

    def __init__(self, remote: Remote, reasons: dict[str, str]) -> None:
        self.reasons = reasons
        why = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
        super().__init__(f"{remote.name} could not be downloaded ({why})")


class _Mismatch(Exception):
    """What arrived is not the file that was asked for."""


def download(
    remote: Remote,
    mirrors: Sequence[str],
    folder: Path,
    *,
    rounds: int = 3,
    pause: float = 1.0,
    timeout: float = 30.0,
) -> Path:
    """Fetch `remote` from the first mirror that delivers it intact into `folder`, and return its path.

    Args:
        remote: what to fetch; the file is kept only if size and SHA-256 agree.
        mirrors: base URLs, best first; `<mirror>/<name>` is asked for.
        folder: where to put it; made if absent. The file appears there whole or not at all.
        rounds: how often to go through the mirrors.
        pause: seconds before the second round, doubled before each further one.
        timeout: seconds without a byte before a mirror is given up.

    Raises:
        DownloadError: every mirror failed in every round.
        DataError: `folder` cannot be written.
    """
    part = folder / f".{remote.name}.{uuid.uuid4().hex}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
    except OSError as error:
        raise DataError(
            f"cannot write to {folder} ({error.strerror}); set SPARRING_CACHE to a folder that can be written"
        ) from error
    reasons: dict[str, str] = {}
    try:
        for attempt in range(rounds):
            if attempt:
                time.sleep(pause * 2 ** (attempt - 1))
            for mirror in mirrors:
                url = f"{mirror.rstrip('/')}/{remote.name}"
                try:
                    _fetch(remote, url, part, timeout)
                except (OSError, HTTPException, _Mismatch) as error:
                    reasons[url] = str(getattr(error, "reason", None) or error) or type(error).__name__
                else:
                    os.replace(part, folder / remote.name)
                    return folder / remote.name
    finally:
        part.unlink(missing_ok=True)
    raise DownloadError(remote, reasons)


def _fetch(remote: Remote, url: str, part: Path, timeout: float) -> None:
    """Write the body of `url` to `part`; raise _Mismatch unless it is exactly `remote`."""
    digest, length = hashlib.sha256(), 0
    request = urllib.request.Request(url, headers={"User-Agent": "sparring"})
    with (
        urllib.request.urlopen(request, timeout=timeout) as response,
        part.open("wb") as file,
        _progress(remote) as advance,
    ):
        while piece := response.read(CHUNK):
            length += len(piece)
            if length > remote.size:
                raise _Mismatch(f"more than the {remote.size} bytes expected")
            file.write(piece)
            digest.update(piece)
            advance(len(piece))
    if length != remote.size:
        raise _Mismatch(f"{length} bytes, expected {remote.size}")
    if digest.hexdigest() != remote.sha256:
        raise _Mismatch(f"SHA-256 {digest.hexdigest()}, expected {remote.sha256}")


@contextmanager
def _progress(remote: Remote) -> Iterator[Callable[[int], None]]:
    """A bar on stderr, where stderr is a terminal; yields a function to call with each number of bytes."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    console = Console(stderr=True)
    columns = (TextColumn(remote.name), BarColumn(), DownloadColumn(), Speed(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=remote.size)
        yield lambda count: bar.advance(task, count)
