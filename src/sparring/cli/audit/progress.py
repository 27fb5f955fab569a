"""How far an audit is: a bar on stderr where somebody watches, else one line a stage."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sparring.cli.console import note
from sparring.durations import duration

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.audit.cascade.progress import Step


@contextmanager
def watching(log: Console) -> Iterator[Callable[[Step], None]]:
    """Gives what `audit` wants as `progress`."""
    if not log.is_terminal:
        yield lambda step: _line(step, log)
        return
    from sparring.cli.progress import Bar

    with Bar(log, "clean images") as bar:

        def update(step: Step) -> None:
            where = "" if step.shards == 1 else f"shard {step.shard}/{step.shards}, "
            bar.update(
                step.done,
                total=max(1, step.of),
                what=f"{where}{step.number}/{step.stages} {step.title}",
                figures=f"{step.standing} of {step.n} unbroken",
                left=step.left if math.isfinite(step.left) else None,
            )

        yield update


def _line(step: Step, log: Console) -> None:
    if step.finished if step.shards == 1 else step.last:  # of many shards, a line each
        what = f"{step.number}/{step.stages} {step.title}" if step.shards == 1 else f"shard {step.shard}/{step.shards}"
        note(log, f"{what}: {step.standing} of {step.n} unbroken, {duration(step.seconds)} elapsed")
