"""The file under a ledger: opened only if it is one, written whole or not at all, and every failure is one clear line.

A file of others is refused before anything is written to it.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sparring.errors import InputError, TargetError

MARK, VERSION = 0x53504152, 2
"in the header of the file: that it is ours, and how it is laid out"
TABLES = {
    "answers": "key TEXT, draw INTEGER, answer TEXT NOT NULL, PRIMARY KEY (key, draw)",
    "account": "one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER NOT NULL, answered INTEGER NOT NULL",
    "claims": "key TEXT, draw INTEGER, owner TEXT NOT NULL, until REAL NOT NULL, PRIMARY KEY (key, draw)",
    "findings": "service TEXT PRIMARY KEY, kind TEXT NOT NULL, said TEXT NOT NULL",
}
LAYOUT = "; ".join(f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items())


class Store:
    """An SQLite file, or memory (`place` None). Safe to use from several threads and processes.

    Raises:
        InputError: a file that is damaged, or none of ours.
    """

    def __init__(self, place: Path | None) -> None:
        self.place = place
        self._lock = threading.RLock()
        try:
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(place or ":memory:", timeout=60, check_same_thread=False, isolation_level=None)
            self._settle()
        except (sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the cache of answers {place} cannot be used: {error}; name another (cache=FILE)"
            ) from None

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """One thread at a time. Raises TargetError: the file fails."""
        with self._lock:
            try:
                yield self._base
            except (sqlite3.Error, UnicodeDecodeError) as error:
                raise TargetError(
                    f"the cache of answers {self.place or 'in memory'} fails: {error}; {_remedy(error)}"
                ) from None

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: whole or not at all. Raises TargetError: not at all."""
        with self.reading() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
                base.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    if base.in_transaction:  # of a full disk, SQLite gives up a transaction by itself
                        base.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock:
            self._base.close()

    def _settle(self) -> None:
        """Make the tables, or see that they are ours and whole."""
        base = self._base
        if self._is_new():
            base.execute("PRAGMA journal_mode=WAL")
            base.execute("BEGIN IMMEDIATE")
            if self._is_new():  # else another process was faster
                for each in LAYOUT.split("; "):
                    base.execute(each)
                base.execute("INSERT INTO account VALUES (1, 0, 0)")
                base.execute(f"PRAGMA application_id = {MARK}")
                base.execute(f"PRAGMA user_version = {VERSION}")
            base.execute("COMMIT")
        self._check()
        base.execute("PRAGMA synchronous=NORMAL")

    def _is_new(self) -> bool:
        return self._base.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0 and self._number() == 0

    def _number(self) -> int:
        number: int = self._base.execute("PRAGMA application_id").fetchone()[0]
        return number

    def _check(self) -> None:
        base, another = self._base, "name another (cache=FILE)"
        made = dict(base.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall())
        expected = {name: f"CREATE TABLE {name} ({columns})" for name, columns in TABLES.items()}
        version = base.execute("PRAGMA user_version").fetchone()[0]
        if (self._number() == MARK and version != VERSION) or set(made) == {"answers", "account"}:
            raise InputError(
                f"the cache of answers {self.place} was written by another version of sparring (layout {version or 1}, "
                f"not {VERSION}), whose answers are kept by other keys; {another}"
            )
        if self._number() != MARK or made != expected:
            shown = ", ".join(sorted(made)[:4]) or "none"
            raise InputError(f"{self.place} is a database, but no cache of answers (its tables: {shown}); {another}")
        if (said := base.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
            raise sqlite3.DatabaseError(f"it is damaged ({' '.join(str(said).split())[:80]})")
        if base.execute("SELECT count(*) FROM account").fetchone()[0] != 1:
            raise sqlite3.DatabaseError("it is damaged (it has no account)")


def _remedy(error: Exception) -> str:
    text = str(error)
    if "full" in text:
        return "free space on its disk and give the same command again"
    if "locked" in text or "readonly" in text:
        return "let nothing else lock or protect it, and give the same command again"
    return "move it away, or name another (cache=FILE)"
