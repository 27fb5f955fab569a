"""How far an attack has come: to stderr, and only where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.result import Result


@contextmanager
def progress_bar(total: int, name: str, log: Console) -> Iterator[Callable[[int, Result], None]]:
    """A bar on stderr with the time left, if that is a terminal. Gives what `run_batches` wants as `progress`."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
        TextColumn("elapsed"), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    fooled = right = 0
    with Progress(*columns, console=log, transient=True, disable=not log.is_terminal) as bar:
        task = bar.add_task(name, total=total)

        def told(done: int, result: Result) -> None:
            nonlocal fooled, right
            fooled += int((result.success & result.clean_correct).sum())
            right += int(result.clean_correct.sum())
            bar.update(task, completed=done, description=f"{name}: {fooled} of {right} fooled")

        yield told
