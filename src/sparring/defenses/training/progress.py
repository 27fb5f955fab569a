"""What a person sees of a run, on stderr: a live bar on a terminal, else one line an epoch."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from sparring.defenses.training.callbacks import Callback, RunInfo
from sparring.defenses.training.loss import Step

SMOOTH = 0.95
"weight of the past in the running means of loss and accuracy that the bar shows"


class ProgressDisplay(Callback):
    """Loss, accuracy and time left while training."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._console: Console | None = None
        self._task = TaskID(0)
        self._run: RunInfo | None = None
        self._seconds: list[float] = []
        self._figures: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A display is opened in the process that shows it, so nothing of it is sent along."""
        return ProgressDisplay().__dict__

    def on_start(self, run: RunInfo) -> None:
        """Open the display."""
        self._run, self._console = run, Console(stderr=True)
        if run.epochs_done:
            self._console.print(f"resumed after epoch {run.epochs_done} of {run.epochs}", highlight=False)
        if self._console.is_terminal:
            self._bar = Progress(
                TextColumn("epoch {task.fields[epoch]}/" + str(run.epochs)),
                BarColumn(),
                TextColumn("{task.fields[figures]}"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            first = run.epochs_done * run.batches
            self._task = self._bar.add_task(
                "", total=run.epochs * run.batches, completed=first, epoch=run.epochs_done + 1, figures=""
            )
            self._bar.start()

    def on_step(self, step: Step, loss: float) -> None:
        """Move the bar."""
        if self._bar is None:
            return
        for name, figure in {"loss": loss, **step.notes}.items():
            if name == "loss" or name.endswith("accuracy"):
                figure = SMOOTH * self._figures.get(name, figure) + (1 - SMOOTH) * figure
            self._figures[name] = figure
        self._bar.update(self._task, advance=1, epoch=step.epoch + 1, figures=_text(self._figures))

    def on_epoch(self, record: dict[str, float]) -> None:
        """Write the epoch's line."""
        assert self._run is not None
        assert self._console is not None
        self._seconds.append(record["seconds"])
        left = sum(self._seconds) / len(self._seconds) * (self._run.epochs - record["epoch"])
        time_left = f", {_duration(left)} left" if left else ""
        self._console.print(
            f"epoch {record['epoch']:.0f}/{self._run.epochs}  {_text(record)}  "
            f"({_duration(record['seconds'])}{time_left})",
            highlight=False,
            soft_wrap=True,
        )

    def on_end(self) -> None:
        """Close the display."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _text(figures: dict[str, float]) -> str:
    """The figures of a step or an epoch as people write them.

    >>> _text({"loss": 0.5, "accuracy": 0.875, "eps": 0.3, "lr": 0.001, "seconds": 3.0})
    'loss 0.5000  accuracy 87.5 %  eps 0.3  lr 0.001'
    """
    parts = []
    for name, value in figures.items():
        if name.endswith("accuracy"):
            parts.append(f"{name.replace('_', ' ')} {value * 100:.1f} %")
        elif name not in ("epoch", "seconds"):
            parts.append(f"{name} {value:.4f}" if name == "loss" else f"{name} {value:.3g}")
    return "  ".join(parts)


def _duration(seconds: float) -> str:
    """
    >>> _duration(75)
    '1:15 min'
    """
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02} h" if hours else f"{minutes}:{rest:02} min"
