"""A run in an object store (S3, Google, Azure, through fsspec): worked on in a folder here, and kept the same there.

    with mirrored("s3://bucket/runs/mine") as folder: ...    # brought here; what changes is sent as it is finished
    with brought("s3://bucket/runs/mine") as folder: ...     # brought here, to read

What is promised: a file over there is an old one or a new one, whole; the plan is there before the shards; a shard is
there at most `BEAT` seconds after it is finished, so a machine that is lost costs what it had not sent. A run has one
writer: its claim, `writer.json`, is a file that only one can create. A claim is void if its process on this machine is
gone, or after `STALE` seconds without a sign of life. Two that find it void at the same moment may both start; the one
whose claim is gone stops before its next file. All files are whole then, too, and `sparring verify` tells if a shard is
not the one that the report is about.

`lease` needs renames that only one process can win, and object stores have none. So several processes of this machine
may share the folder here; several machines each need a place of their own, and `sparring merge`.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sparring.errors import InputError, SparringError
from sparring.scale.beat import every
from sparring.scale.lease import alive
from sparring.storage import LOCAL_SCHEMES, store_url
from sparring.zoo.extras import first_line, need

SAFE = ("s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory")
"stores that show a file only when it is whole, and can create one only if it is absent"
CLAIM = "writer.json"
SKIPPED = ("leases", CLAIM)
BEAT = 10.0
"seconds between two looks at what is finished; each is a sign of life"
STALE = 900.0
"seconds without one after which a claim is void; one file is sent, and clocks of machines differ, by less"


@contextmanager
def brought(path: str | Path) -> Iterator[Path]:
    """The folder of a run, to read: a copy of what is in the store, or the folder itself where it is one.

    Raises:
        InputError: the store cannot be reached, or holds nothing there.
    """
    folder, url = folder_of(path), store_url(path)
    if folder is not None or url is None:
        yield folder or Path(path)
        return
    place = _Place(url)
    with tempfile.TemporaryDirectory(prefix="sparring-") as name, _named(url, name):
        if not place.bring(Path(name)):
            raise InputError(f"{url} holds no run: there is nothing there")
        yield Path(name)


@contextmanager
def mirrored(path: str | Path, warn: Callable[[str], None] = lambda line: None) -> Iterator[Path]:
    """The folder of a run, to work in: a copy that is kept the same in the store, or the folder itself where it is one.

    Args:
        warn: called when something cannot be sent now; it is tried again.

    Raises:
        InputError: the store cannot be reached, is not known to be safe, or somebody else writes there. What could not
            be sent at the end stays here; the line says where.
    """
    folder, url = folder_of(path), store_url(path)
    if folder is not None or url is None:
        yield folder or Path(path)
        return
    place, home = _Place(url), Path(tempfile.mkdtemp(prefix="sparring-"))
    try:
        with place.claimed(), _named(url, str(home)):
            place.bring(home)
            with _Mirror(place, home).sending(warn):
                yield home
    except _Unsent as error:
        raise InputError(f"{error}; the run lies in {home}: go on there with --resume, or copy it") from error
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    shutil.rmtree(home, ignore_errors=True)


def folder_of(path: str | Path) -> Path | None:
    """The folder of this machine that a path or a URL names; None for a place in a store.

    >>> folder_of("file:///tmp/x"), folder_of("runs/mine"), folder_of("s3://bucket/x")
    (PosixPath('/tmp/x'), PosixPath('runs/mine'), None)
    """
    url = store_url(path)
    if url is None:
        return Path(path)
    scheme, _, rest = url.partition("://")
    return Path(rest) if scheme in LOCAL_SCHEMES else None


class _Unsent(InputError):
    """Something could not be sent at the end."""


class _Lost(InputError):
    """Another process has the claim now."""


class _Place:
    """A folder in a store.

    Raises:
        InputError: the store is not one of `SAFE`.
    """

    def __init__(self, url: str) -> None:
        scheme = url.partition(":")[0]
        if scheme not in SAFE:
            raise InputError(
                f"{url}: a run can lie in a folder, or in {', '.join(f'{one}://' for one in SAFE)}; "
                f"{scheme}:// is not known to keep files whole, so mount it, or copy the folder of the run there"
            )
        core = need("fsspec.core", "a run in an object store", "remote")
        self.url = url
        with self.errors():
            self.fs, self.root = core.url_to_fs(url, skip_instance_cache=True, use_listings_cache=False)
        self.token = uuid.uuid4().hex

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Whatever a store's client raises, in one line."""
        try:
            yield
        except (SparringError, FileExistsError):
            raise
        except ImportError as error:
            raise InputError(f"{self.url} cannot be used: {first_line(error)}; pip install sparring[remote]") from None
        except Exception as error:  # clients raise errors of many libraries
            raise InputError(f"{self.url} cannot be used ({type(error).__name__}: {first_line(error)})") from error

    def bring(self, home: Path) -> int:
        """Copy everything here; how many files."""
        with self.errors():
            names = [name[len(self.root) :].strip("/") for name in self.fs.find(self.root)]
            names = [name for name in names if name and name.partition("/")[0] not in SKIPPED]
            for name in names:
                if ".." in Path(name).parts:
                    raise InputError(f"{self.url} holds {name!r}, which is no file of a run")
                (home / name).parent.mkdir(parents=True, exist_ok=True)
                self.fs.get_file(f"{self.root}/{name}", str(home / name))
        return len(names)

    def send(self, home: Path, name: str) -> bool:
        """Copy one file there, whole or not at all; False where it is gone from here meanwhile."""
        with self.errors():
            try:
                self.fs.put_file(str(home / name), f"{self.root}/{name}")
            except FileNotFoundError:  # of the file here, or of the place there
                if (home / name).exists():
                    raise
                return False
        return True

    def remove(self, name: str) -> None:
        """Remove one file there."""
        with self.errors(), suppress(FileNotFoundError):
            self.fs.rm_file(f"{self.root}/{name}")

    # --- the claim ------------------------------------------------------------------------------------------------

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Inside, this process is the one writer.

        Raises:
            InputError: somebody else is, or the store lets two create the same file.
        """
        if not self._create():
            holder = self._holder()
            if not _void(holder):
                raise InputError(
                    f"{self.url} is being written by process {holder.get('pid')} on {holder.get('host')}; in an object "
                    "store a run has one writer: wait for it, or give each machine a place of its own (--shard I/N) "
                    "and sparring merge them"
                )
            self.remove(CLAIM)
            if not self._create():
                raise InputError(f"{self.url}: somebody else has begun to write there at this moment")
        if self._create():
            raise InputError(f"{self.url}: this store lets two create the same file, so nobody can be the one writer")
        try:
            yield
        finally:
            with suppress(InputError):
                if self.mine():
                    self.remove(CLAIM)

    def mine(self) -> bool:
        """Is the claim still that of this process?"""
        return self._holder().get("token") == self.token

    def beat(self) -> None:
        """A sign of life."""
        with self.errors():
            self.fs.pipe_file(f"{self.root}/{CLAIM}", self._claim())

    def _claim(self) -> bytes:
        holder = {"token": self.token, "pid": os.getpid(), "host": socket.gethostname(), "time": time.time()}
        return json.dumps(holder).encode()

    def _create(self) -> bool:
        with self.errors():
            try:
                self.fs.pipe_file(f"{self.root}/{CLAIM}", self._claim(), mode="create")
            except FileExistsError:
                return False
        return True

    def _holder(self) -> dict[str, Any]:
        with self.errors():
            try:
                found = json.loads(self.fs.cat_file(f"{self.root}/{CLAIM}"))
            except (FileNotFoundError, ValueError):
                return {}
        return found if isinstance(found, dict) else {}


class _Mirror:
    """A folder here whose files are kept the same in a place: what is new or changed is sent, what is gone is removed.

    Attributes:
        seen: size and time of change of each file as it was sent last.
    """

    def __init__(self, place: _Place, home: Path) -> None:
        self.place, self.home = place, home
        self.seen = self.present()  # what was brought

    def present(self) -> dict[str, tuple[int, int]]:
        """The files here that are whole."""
        found = {}
        for path in self.home.rglob("*"):
            name = path.relative_to(self.home).as_posix()
            unfinished = path.name.startswith(".") and path.name.endswith(".tmp")
            if name.partition("/")[0] in SKIPPED or unfinished:
                continue
            with suppress(FileNotFoundError):  # replaced at this moment: the next look finds it
                state = path.stat()
                if path.is_file():
                    found[name] = (state.st_size, state.st_mtime_ns)
        return found

    def step(self) -> None:
        """Make the place the same as the folder. The plan is removed after all others, and sent before them."""
        self._claimed()
        now = self.present()
        for name in sorted(set(self.seen) - set(now), key=lambda name: (name == "plan.json", name)):
            self.place.remove(name)
            del self.seen[name]
        for name in sorted(now, key=lambda name: (name != "plan.json", name)):
            if self.seen.get(name) != now[name]:
                self._claimed()
                if self.place.send(self.home, name):
                    self.seen[name] = now[name]

    def _claimed(self) -> None:
        if not self.place.mine():
            raise _Lost(f"{self.place.url}: another process has taken over the writing; nothing more is sent there")

    @contextmanager
    def sending(self, warn: Callable[[str], None]) -> Iterator[None]:
        """A thread that sends while the block runs, and the rest at its end, also after an error."""
        said = ""

        def send() -> bool:
            nonlocal said
            try:
                self.step()
                self.place.beat()
            except _Lost as error:
                warn(str(error))
                return False
            except InputError as error:
                if str(error) != said:
                    warn(f"{error}; it is tried again")
                said = str(error)
            return True

        try:
            with every(BEAT, send):
                yield
        finally:
            try:
                self.step()
            except InputError as error:
                raise _Unsent(str(error)) from error
            except KeyboardInterrupt:
                raise _Unsent(f"{self.place.url}: stopped before everything was sent") from None


@contextmanager
def _named(url: str, home: str) -> Iterator[None]:
    """Errors about the copy here speak of the place there."""
    try:
        yield
    except _Unsent:
        raise
    except Exception as error:
        error.args = tuple(one.replace(home, url) if isinstance(one, str) else one for one in error.args)
        raise


def _void(holder: dict[str, Any]) -> bool:
    """Is the process of a claim gone?"""
    pid, then = holder.get("pid"), holder.get("time")
    if holder.get("host") == socket.gethostname() and isinstance(pid, int) and not alive(pid):
        return True
    return not isinstance(then, (int, float)) or time.time() - then > STALE
