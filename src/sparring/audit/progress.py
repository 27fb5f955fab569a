"""How far an audit is, and how long it may take yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Step:
    """What a `progress` callback is told, after each batch.

    Attributes:
        title: of the stage. number, stages: this one and how many there are.
        done, of: images of this stage. standing, n: images that nothing has broken yet, of all.
        seconds: since the audit began. left: an upper estimate of the seconds to come.
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

    @property
    def finished(self) -> bool:
        """The stage is over."""
        return self.done >= self.of


Callback = Callable[[Step], Any]


class Clock:
    """Turns batches done into `Step`s.

    Args:
        plan: (title, most passes an image) of each stage to come. n: images.
        callback: told about each step; None = nobody listens.
    """

    def __init__(self, plan: list[tuple[str, int]], n: int, callback: Callback | None) -> None:
        self.plan, self.n, self.callback = plan, n, callback
        self.number = -1
        self.spent = 0  # passes, counted as if every image took the most of its stage
        self.began = time.perf_counter()

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def start(self, of: int, standing: int) -> None:
        """The next stage of the plan begins, with `of` images."""
        self.number += 1
        self.of, self.done, self.standing = of, 0, standing
        if not of:
            self.tell(0, standing)

    def tell(self, done: int, standing: int) -> None:
        """`done` images of this stage are over, `standing` images are left."""
        title, cost = self.plan[self.number]
        self.spent += (done - self.done) * cost
        self.done, self.standing = done, standing
        if self.callback is None:
            return
        later = sum(passes for _, passes in self.plan[self.number + 1 :]) * max(standing, 1)
        ahead = (self.of - done) * cost + later
        left = self.seconds * ahead / self.spent if self.spent else float("nan")
        self.callback(Step(title, self.number + 1, len(self.plan), done, self.of, standing, self.n, self.seconds, left))
