"""A run: an audit around a folder, which any number of processes and machines may work on, stop and go on with.

Every shard is written once, whole, by whoever holds its lease. What is killed loses the shards it was working on and
nothing else; the report is made from the folder alone, so it is the same however often the work was interrupted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.audit.cascade.progress import Callback, Clock
from sparring.audit.report.report import Report
from sparring.audit.run.conclude import conclude
from sparring.audit.run.in_process import clean_image, seeded, work_on
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared, prepare, refuse_another_model
from sparring.audit.run.records import pack, unpack
from sparring.audit.run.shard import ShardResult
from sparring.default_dtype import float32_by_default
from sparring.errors import InputError
from sparring.export.files import open_folder
from sparring.scale.memory import trim_heap
from sparring.scale.store import Record, Store

HEAD = "head"
WAIT = 0.2
"seconds between two looks at what others are working on"


@dataclass(frozen=True)
class Run:
    """A plan and the folder where its work is kept."""

    plan: Plan
    store: Store

    @classmethod
    def open(cls, plan: Plan, folder: str | Path, resume: bool = False) -> Run:
        """Begin a run in `folder`; or, with `resume`, go on with it.

        Raises:
            InputError: the folder holds another run, or this one and `resume` is not said, or it cannot be written.
        """
        home = Path(folder)
        open_folder(home, force=(home / "plan.json").exists())
        return cls(plan, Store.open(home, plan.identity(), resume))

    @float32_by_default()
    def head(self) -> Prepared:
        """What every shard needs: from the folder, or made now, or waited for where another process makes it."""

        def make() -> Record:
            with seeded(self.plan.seed):
                return prepare(self.plan).to_record()

        made = False
        while not self.store.done(HEAD):
            made = self.store.make(HEAD, make)
            if not made:
                time.sleep(WAIT)
        head = Prepared.of_record(self.plan, self.store.load(HEAD))
        if not made:
            with seeded(self.plan.seed):
                refuse_another_model(self.plan, head)
        return head

    def share(self, part: tuple[int, int]) -> list[int]:
        """Numbers of the shards of the i-th of n machines, from 1: every n-th.

        Raises:
            InputError: i is not 1 to n.
        """
        i, n = part
        if not 1 <= i <= n:
            raise InputError(f"share {i}/{n}; write i/n with i from 1 to n, as 2/4")
        return list(range(i - 1, len(self.store), n))

    @float32_by_default()
    def work(
        self,
        numbers: Sequence[int] | None = None,
        progress: Callback | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Make these shards (all, unless said), together with whoever else is at it; returns when all are there.

        Args:
            stop: asked before each shard; True ends the work.
        """
        numbers = range(len(self.store)) if numbers is None else numbers
        head = self.head()
        clock = Clock(len(head.clean), head.clean.accuracy.hits, progress)

        while missing := [number for number in numbers if not self.store.done(number)]:
            made = False
            for number in missing:
                if stop():
                    return
                made |= self.store.make(number, lambda number=number: record_of(self.plan, head, number, clock))  # type: ignore[misc]
                trim_heap()
            if not made:
                time.sleep(WAIT)
        if not self.store.missing():
            self.store.tidy()

    @float32_by_default()
    def report(self) -> Report:
        """The conclusion, from the folder. The points stay there: `report.worst.x_adv` is [N, 0].

        Raises:
            InputError: shards are missing or damaged; which ones.
        """
        missing = self.store.missing()
        if missing or not self.store.done(HEAD):
            raise InputError(
                f"{self.store.folder} is not finished: {len(missing)} of {len(self.store)} shards are missing "
                f"({_listed(missing)}); go on with --resume, or bring them from other machines with sparring merge"
            )
        head = Prepared.of_record(self.plan, self.store.load(HEAD))
        report = conclude(self.plan, head, [part.light() for part in self.parts()], self._pixels)
        return replace(report, shards=self.store.digests())

    def parts(self) -> Iterator[ShardResult]:
        """The parts in order, one at a time, with their points."""
        for number in range(len(self.store)):
            yield unpack(self.plan, self.store.load(number))

    def _pixels(self, numbers: Sequence[int]) -> dict[int, tuple[Tensor, Tensor]]:
        found = {}
        for shard in sorted({i // self.plan.shard_size for i in numbers}):
            part = unpack(self.plan, self.store.load(shard))
            for i in numbers:
                if i // self.plan.shard_size == shard:
                    found[i] = (clean_image(self.plan, i), part.worst[0].x_adv[i - part.first].clone())
        return found


@float32_by_default()
def record_of(plan: Plan, head: Prepared, number: int, clock: Clock | None = None) -> Record:
    """What a shard leaves behind, attacked now; the same in every process."""
    if clock is None:
        clock = Clock(len(head.clean), head.clean.accuracy.hits, None)
    with seeded(plan.seed):
        return pack(work_on(plan, head, number, clock))


def _listed(numbers: Sequence[Any]) -> str:
    shown = ", ".join(map(str, numbers[:5]))
    return shown + (", ..." if len(numbers) > 5 else "") if numbers else "the first look"
