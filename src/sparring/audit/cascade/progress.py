"""How far an audit is, and how long it may take yet."""

from __future__ import annotations

import time
from collections.abc import Callable
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
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def open(self, table: list[tuple[str, int]], correct: int, later: int, shard: tuple[int, int] = (1, 1)) -> None:
        """A shard begins.

        Args:
            table: (title, most passes an image) of each of its stages. correct: its images that were right before.
            later: images of the shards after it. shard: which it is, from 1, and of how many.
        """
        self.table, self.later, self.shard = table, later, shard
        self.number = -1
        self.elsewhere -= correct

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
        if self.callback is None:
            return
        after = sum(passes for _, passes in self.table[self.number + 1 :]) * max(standing, 1)
        ahead = (self.of - done) * cost + after + self.later * sum(passes for _, passes in self.table)
        left = self.seconds * ahead / self.spent if self.spent else float("nan")
        whole, place = self.elsewhere + standing, (self.number + 1, len(self.table))
        self.callback(Step(title, *place, done, self.of, whole, self.n, self.seconds, left, *self.shard))
