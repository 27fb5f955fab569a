"""The ledger of a web service: every answer that was paid for, by content, and how many requests were sent.

One SQLite file. A request is entered before it is sent and its answer as soon as it is there, so a process may be
killed at any moment: at most the answers under way are lost, and the count knows of them. Several processes may share
it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.errors import InputError

TABLES = """
CREATE TABLE IF NOT EXISTS answers (key TEXT, draw INTEGER, answer TEXT NOT NULL, PRIMARY KEY (key, draw));
CREATE TABLE IF NOT EXISTS account (one INTEGER PRIMARY KEY CHECK (one = 1), sent INTEGER, answered INTEGER);
INSERT OR IGNORE INTO account VALUES (1, 0, 0);
"""


@dataclass(frozen=True)
class Account:
    """Requests that were sent, answers that came, in all runs that share the ledger; answers that it saved here."""

    sent: int
    answered: int
    reused: int


class Ledger:
    """Answers by picture. `place`: a file, made if absent; None = in memory.

    Args:
        random: each look at a picture has an answer of its own: the n-th of a run is the n-th of every run.

    Raises:
        InputError: the file cannot be used.
    """

    def __init__(self, place: Path | None, random: bool = False) -> None:
        self.place, self.random, self.reused = place, random, 0
        self._looks: Counter[str] = Counter()
        self._lock = threading.Lock()
        try:
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(place or ":memory:", timeout=60, check_same_thread=False, isolation_level=None)
            self._base.execute("PRAGMA journal_mode=WAL")
            self._base.execute("PRAGMA synchronous=NORMAL")
            self._base.executescript(TABLES)
        except (sqlite3.Error, OSError) as error:
            raise InputError(
                f"the cache of answers {place} cannot be used: {error}; name another (cache=FILE)"
            ) from None

    def look(self, key: str) -> tuple[int, Any | None]:
        """The number of this look at a picture, and the answer to it that is kept; None = there is none."""
        with self._lock:
            draw = self._looks[key] if self.random else 0
            self._looks[key] += 1
            row = self._base.execute("SELECT answer FROM answers WHERE key = ? AND draw = ?", (key, draw)).fetchone()
            self.reused += row is not None
        return draw, None if row is None else json.loads(row[0])

    def pay(self, most: int | None) -> bool:
        """Enter a request that is about to be sent. False = `most` were sent already; nothing is entered."""
        with self._writing():
            done = self._base.execute("UPDATE account SET sent = sent + 1 WHERE ? IS NULL OR sent < ?", (most, most))
        return done.rowcount == 1

    def keep(self, key: str, draw: int, answer: Any | None) -> None:
        """Enter an answer that came. None = it was no use, and is not kept."""
        with self._writing():
            self._base.execute("UPDATE account SET answered = answered + 1")
            if answer is not None:
                text = json.dumps(answer, separators=(",", ":"))
                self._base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, draw, text))

    @property
    def account(self) -> Account:
        with self._lock:
            sent, answered = self._base.execute("SELECT sent, answered FROM account").fetchone()
        return Account(sent, answered, self.reused)

    def close(self) -> None:
        with self._lock:
            self._base.close()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction: whole or not at all."""
        with self._lock:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
