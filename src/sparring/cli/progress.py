"""The one progress bar of all commands: on stderr, with the time left, and only where somebody watches."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from sparring.durations import duration

if TYPE_CHECKING:
    from rich.console import Console


class TimeColumn(ProgressColumn):
    """How long it has taken, and how long it may take yet."""

    def render(self, task: Task) -> Text:
        """The two durations in words; nothing of the second while nobody can tell."""
        left = task.fields["left"] if task.fields["left"] is not None else task.time_remaining
        words = duration(task.elapsed or 0)
        soon = left is None or round(left) < 1  # while it works, "0 s left" is never true
        return Text(words if left is None or soon or task.finished else f"{words}, {duration(left)} left")


class Bar:
    """A bar that says what is done, how much of it, what came of it so far, and when it will be over.

    Args:
        log: where it is drawn; nothing is drawn unless that is a terminal. what: what is being done.
        total: of the steps; None = not known yet.
    """

    def __init__(self, log: Console, what: str, total: int | None = None) -> None:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.completed}/{task.total}", markup=False),
            TextColumn("{task.fields[figures]}", markup=False),
            TimeColumn(),
        )
        self.log = log
        self.live = log.is_terminal
        self._progress = Progress(*columns, console=log, transient=True, disable=not log.is_terminal)
        self._task: TaskID = self._progress.add_task(what, total=total, figures="", left=None)

    def __enter__(self) -> Bar:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def update(
        self,
        done: int | None = None,
        *,
        what: str | None = None,
        total: int | None = None,
        figures: str | None = None,
        left: float | None = None,
    ) -> None:
        """Move the bar; what is None stays.

        Args:
            done: steps so far. figures: what came of it so far. left: seconds, where the work itself knows better than
                the mean of the steps.
        """
        if figures is not None:
            self._progress.update(self._task, figures=figures)
        self._progress.update(self._task, completed=done, description=what, total=total, left=left)

    def restart(self, what: str, total: int) -> None:
        """Begin something else."""
        self._progress.reset(self._task, description=what, total=total, completed=0, figures="", left=None)
