"""The ledger of a web service: every answer that was paid for, by content, and how many requests were sent.

One SQLite file. A request is entered before it is sent and its answer as soon as it is there, so a process may be
killed at any moment: at most the answers under way are lost, and the count knows of them. Several processes may share
it: what one of them is asking about is claimed, and the others wait for the answer.
"""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sparring.errors import TargetError
from sparring.zoo.targets.http.store import Store


@dataclass(frozen=True)
class Account:
    """Requests that were sent, answers that came, in all runs that share the ledger; answers that it saved here.

    Attributes:
        unsaved: answers among those that came which the file could not take.
    """

    sent: int
    answered: int
    reused: int
    unsaved: int = 0


class Finding(NamedTuple):
    """What was found out about a service: "steady", "random" or "changed", and in words."""

    kind: str
    said: str


class Ledger:
    """Answers by picture. `place`: a file, made if absent; None = in memory.

    Args:
        random: each look at a picture has an answer of its own: the n-th of a run is the n-th of every run.

    Raises:
        InputError: the file cannot be used. TargetError, from all methods: it cannot be used any more.
    """

    def __init__(self, place: Path | None, random: bool = False) -> None:
        self.place, self.random, self.reused = place, random, 0
        self._looks: Counter[str] = Counter()
        self._store = Store(place)
        self._owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex}"
        self._unsaved: list[tuple[str, int, str | None]] = []
        with self._store.reading() as base:
            self._counted = _counted(base)

    def look(self, key: str) -> tuple[int, Any | None]:
        """The number of this look at a picture, and the answer to it that is kept; None = there is none."""
        draw = self._looks[key] if self.random else 0
        known = self.kept(key, draw)
        self._looks[key] += 1
        self.reused += known is not None
        return draw, known

    def kept(self, key: str, draw: int) -> Any | None:
        """The answer that is kept; None = there is none."""
        for waiting in list(self._unsaved):
            if waiting[:2] == (key, draw) and waiting[2] is not None:
                return self._read(waiting[2])
        with self._store.reading() as base:
            text = _text(base, key, draw)
        return self._read(text)

    def claim(self, key: str, draw: int, seconds: float) -> tuple[bool, Any | None]:
        """Whether this process is to ask, and the answer if there is one by now. Neither = another is asking.

        A claim ends with `keep` or `release`, when its process is dead, or after `seconds`.
        """
        if self.place is None:
            return True, None
        with self._store.writing() as base:
            if (text := _text(base, key, draw)) is not None:
                self.reused += 1
                return False, self._read(text)
            row = base.execute("SELECT owner, until FROM claims WHERE key = ? AND draw = ?", (key, draw)).fetchone()
            if row is not None and row[0] != self._owner and row[1] > time.time() and _alive(row[0]):
                return False, None
            claim = (key, draw, self._owner, time.time() + seconds)
            base.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?, ?)", claim)
        return True, None

    def release(self, key: str, draw: int) -> None:
        """Give up a claim."""
        if self.place is not None:
            with self._store.writing() as base:
                _drop(base, key, draw)

    def pay(self, most: int | None) -> bool:
        """Enter a request that is about to be sent. False = `most` were sent already; nothing is entered."""
        with self._store.writing() as base:
            done = base.execute("UPDATE account SET sent = sent + 1 WHERE ? IS NULL OR sent < ?", (most, most))
            self._counted = _counted(base)
        return done.rowcount == 1

    def keep(self, key: str, draw: int, answer: Any | None) -> None:
        """Enter an answer that came. None = it was no use, and is not kept."""
        text = None if answer is None else json.dumps(answer, separators=(",", ":"))
        self._unsaved.append((key, draw, text))
        self._save()

    def finding(self, service: str) -> Finding | None:
        """What was found out about a service, in whichever run."""
        with self._store.reading() as base:
            row = base.execute("SELECT kind, said FROM findings WHERE service = ?", (service,)).fetchone()
        return None if row is None else Finding(*row)

    def find(self, service: str, kind: str, said: str = "") -> None:
        """Enter what was found out."""
        with self._store.writing() as base:
            base.execute("INSERT OR REPLACE INTO findings VALUES (?, ?, ?)", (service, kind, said))

    @property
    def account(self) -> Account:
        """As the file says; where it fails, as it said last, and what came since."""
        try:
            self._save()  # there may be room again
            with self._store.reading() as base:
                self._counted = _counted(base)
        except TargetError:
            pass
        sent, answered = self._counted
        waiting = len(self._unsaved)
        return Account(sent, answered + waiting, self.reused, waiting)

    def close(self) -> None:
        self._store.close()

    def _save(self) -> None:
        """Enter the answers that came. They stay in memory until the file has them."""
        if not self._unsaved:
            return
        with self._store.reading():  # no other thread enters them as well
            entering = list(self._unsaved)
            with self._store.writing() as base:
                base.execute("UPDATE account SET answered = answered + ?", (len(entering),))
                for key, draw, text in entering:
                    _drop(base, key, draw)
                    if text is not None:
                        base.execute("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (key, draw, text))
                self._counted = _counted(base)
            del self._unsaved[: len(entering)]

    def _read(self, text: str | None) -> Any | None:
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            raise TargetError(
                f"the cache of answers {self.place} is damaged (it holds an answer that is no JSON); move it away, or "
                "name another (cache=FILE)"
            ) from None


def _text(base: sqlite3.Connection, key: str, draw: int) -> str | None:
    row = base.execute("SELECT answer FROM answers WHERE key = ? AND draw = ?", (key, draw)).fetchone()
    return None if row is None else str(row[0])


def _drop(base: sqlite3.Connection, key: str, draw: int) -> None:
    base.execute("DELETE FROM claims WHERE key = ? AND draw = ?", (key, draw))


def _counted(base: sqlite3.Connection) -> tuple[int, int]:
    """Requests sent and answers that came, in all runs."""
    sent, answered = base.execute("SELECT sent, answered FROM account").fetchone() or (0, 0)
    return int(sent), int(answered)


def _alive(owner: str) -> bool:
    """Can the process of a claim still bring an answer? Of another machine that is not known, so it can."""
    host, process, _ = owner.split(" ")
    if host != socket.gethostname() or os.name != "posix":  # elsewhere os.kill ends a process, whatever the signal
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
