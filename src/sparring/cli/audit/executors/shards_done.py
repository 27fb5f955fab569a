"""Progress by whole shards, for work that is done elsewhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from sparring.audit.cascade.progress import Step

if TYPE_CHECKING:
    from sparring.audit.cascade.progress import Callback
    from sparring.audit.run.folder import Run


class ShardsDone:
    """Reports each finished shard: how many are done, how many images are unbroken, an estimate of the time left.

    Args:
        numbers: how many shards are to be made.
    """

    def __init__(self, run: Run, numbers: int, progress: Callback, title: str) -> None:
        self.plan = run.plan
        self.store = run.store
        self.numbers = numbers
        self.progress = progress
        self.title = title
        clean = run.head().clean
        self.n = len(clean)
        self.unbroken = clean.accuracy.hits
        self.done = 0
        self.began = time.perf_counter()

    def add(self, number: int) -> None:
        """The shard `number` lies in the folder."""
        tensors, _ = self.store.load(number)
        self.unbroken -= int((tensors["worst/0/success"] & tensors["worst/0/clean_correct"]).sum())
        self.done += 1
        seconds = time.perf_counter() - self.began
        left = seconds / self.done * (self.numbers - self.done)
        place = (self.done, self.numbers)
        self.progress(Step(self.title, 1, 1, *place, self.unbroken, self.n, seconds, left, *place))
