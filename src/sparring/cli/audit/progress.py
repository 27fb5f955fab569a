"""How far an audit is: a bar on stderr where somebody watches, else one line a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Step


@contextmanager
def watching(log: Console) -> Iterator[Callable[[Step], None]]:
    """Gives what `audit` wants as `progress`."""
    if not log.is_terminal:
        yield lambda step: _line(step, log)
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.fields[stage]}"), BarColumn(), TextColumn("{task.description}"),
        TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("{task.fields[left]}"),
    )  # fmt: skip
    with Progress(*columns, console=log, transient=True) as bar:
        task = bar.add_task("clean images", total=None, stage="", left="")

        def told(step: Step) -> None:
            where = "" if step.shards == 1 else f"shard {step.shard}/{step.shards}, "
            bar.update(
                task,
                total=max(1, step.of),
                completed=step.done,
                stage=f"{where}{step.number}/{step.stages}",
                description=f"{step.title}: {step.standing} of {step.n} stand",
                left=f"at most {duration(step.left)} left" if math.isfinite(step.left) else "",
            )

        yield told


def _line(step: Step, log: Console) -> None:
    if step.finished if step.shards == 1 else step.last:  # of many shards, a line each
        what = f"{step.number}/{step.stages} {step.title}" if step.shards == 1 else f"shard {step.shard}/{step.shards}"
        log.print(
            f"{what}: {step.standing} of {step.n} stand, {duration(step.seconds)} elapsed",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip


def duration(seconds: float) -> str:
    """Minutes and seconds.

    >>> duration(75)
    '1:15'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
