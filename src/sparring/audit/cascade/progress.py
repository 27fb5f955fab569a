"""How far an audit is, and how long it may take yet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """What a `progress` callback gets after each batch.

    Attributes:
        title: of the stage. number, stages: this one and how many there are.
        done, of: images of this stage. standing, n: images that nothing has broken yet, of all.
        seconds: since the audit began. left: an upper estimate of the seconds to come.
        shard, shards: the stretch of images that is worked on, from 1, and how many there are.
    """

    title: str
    number: int
    stages: int
    done: int
    of: int
    standing: int
    n: int
    seconds: float
    left: float
    shard: int = 1
    shards: int = 1

    @property
    def finished(self) -> bool:
        """The stage is over."""
        return self.done >= self.of

    @property
    def last(self) -> bool:
        """So is the shard."""
        return self.finished and self.number == self.stages


Callback = Callable[[Step], Any]


Tell = Callable[[int, Sized], None] | None
"called by what runs, with the number of images done and the last part of them; None = nobody listens"


class Clock:
    """Turns batches done into `Step`s.

    Args:
        n: images. correct: of them, right before any attack.
        callback: called with each step; None = nobody listens.
    """

    def __init__(self, n: int, correct: int, callback: Callback | None) -> None:
        self.n, self.callback = n, callback
        self.elsewhere = correct  # standing outside the present shard, as far as is known
        self.spent = 0  # passes, counted as if every image took the most of its stage
        self.aside = 0.0  # seconds for receipts and controls
        self.share = 0.0  # of what the attacks take, that receipt and controls may take
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    @property
    def attacking(self) -> float:
        """Seconds without those of receipts and controls."""
        return self.seconds - self.aside

    def open(
        self,
        table: list[tuple[str, int]],
        correct: int,
        later: int,
        shard: tuple[int, int] = (1, 1),
        share: float = 0.0,
    ) -> None:
        """A shard begins.

        Args:
            table: (title, most passes an image) of each of its stages; 0 passes: a receipt or a control, which
                nobody can tell yet. correct: its images that were right before.
            later: images of the shards after it. shard: which it is, from 1, and of how many.
            share: of what the attacks take, that receipt and controls take at most.
        """
        self.table, self.later, self.shard, self.share = table, later, shard, share
        self.number = -1
        self.allowed: float | None = None  # seconds that its receipt and controls may take yet, once that is known
        self.since = self.attacking
        self.elsewhere -= correct

    def over(self) -> None:
        """The attacks of the shard are over; how long receipt and controls may take follows from what they took."""
        self.allowed = self.share * (self.attacking - self.since)

    def close(self, standing: int) -> None:
        """The shard is over; this many of its images stand."""
        self.elsewhere += standing

    def start(self, of: int, standing: int) -> None:
        """The next stage of the table begins, with `of` images."""
        self.number += 1
        self.of, self.done = of, 0
        if not of:
            self.tell(0, standing)

    def tell(self, done: int, standing: int) -> None:
        """`done` images of this stage are over, `standing` images of this shard are left."""
        title, cost = self.table[self.number]
        self.spent += (done - self.done) * cost
        self.done = done
        self._say(title, standing, (self.of - done) * cost)

    @contextmanager
    def control(self, of: int, standing: Callable[[], int]) -> Iterator[Callable[[int, Sized], None]]:
        """Inside, a receipt or a control runs, of so many pieces of work; it calls what it gets after each part.

        Args:
            standing: asked how many images of the shard are left.
        """
        self.number += 1
        self.of, self.done = of, 0
        title, since = self.table[self.number][0], self.seconds

        def told(_: int, part: Sized) -> None:
            nonlocal since
            now = self.seconds
            self.done = min(of, self.done + len(part))
            self.aside += now - since
            self.allowed = None if self.allowed is None else max(0.0, self.allowed - (now - since))
            since = now
            if self.done < of:
                self._say(title, standing(), 0)

        if of:
            self._say(title, standing(), 0)
        yield told
        self.aside += self.seconds - since
        self.done = of
        self._say(title, standing(), 0)

    def _say(self, title: str, standing: int, ahead: int) -> None:
        """Call back. `ahead`: passes of the stage that is worked on."""
        if self.callback is None:
            return
        ahead += sum(passes for _, passes in self.table[self.number + 1 :]) * max(standing, 1)
        later = self.later * sum(passes for _, passes in self.table)
        rate = self.attacking / self.spent if self.spent else float("nan")
        extra = self.share * (self.attacking - self.since + rate * ahead) if self.allowed is None else self.allowed
        over = self.done >= self.of and self.number + 1 == len(self.table) and not self.later
        left = 0.0 if over else rate * (ahead + later * (1 + self.share)) + extra
        whole, place = self.elsewhere + standing, (self.number + 1, len(self.table))
        self.callback(Step(title, *place, self.done, self.of, whole, self.n, self.seconds, left, *self.shard))
