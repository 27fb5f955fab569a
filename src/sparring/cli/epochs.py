"""What a person sees of a run, on stderr: a live bar on a terminal, else one line an epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sparring.cli.console import note, stderr
from sparring.cli.progress import Bar
from sparring.durations import duration

if TYPE_CHECKING:
    from sparring.defenses.training.callbacks import Callback, RunInfo
    from sparring.defenses.training.loss import Step

SMOOTH = 0.95
"weight of the past in the running means of loss and accuracy that the bar shows"


class ProgressDisplay:
    """Loss, accuracy and time left while training: a `Callback` of the training loop.

    It is not derived from it, so that this module, like every command, imports nothing heavy.
    """

    def __init__(self) -> None:
        self._bar: Bar | None = None
        self._run: RunInfo | None = None
        self._done = 0
        self._seconds: list[float] = []
        self._figures: dict[str, float] = {}

    def __getstate__(self) -> dict[str, Any]:
        """A display is opened in the process that shows it, so nothing of it is sent along."""
        return ProgressDisplay().__dict__

    def on_start(self, run: RunInfo) -> None:
        """Open the display."""
        self._run, log = run, stderr()
        if run.epochs_done:
            note(log, f"resumed after epoch {run.epochs_done} of {run.epochs}")
        self._done = run.epochs_done * run.batches
        self._bar = Bar(log, f"epoch {run.epochs_done + 1}/{run.epochs}", run.epochs * run.batches)
        self._bar.update(self._done)
        self._bar.__enter__()

    def on_step(self, step: Step, loss: float) -> None:
        """Move the bar."""
        if self._bar is None or self._run is None or not self._bar.live:
            return
        for name, figure in {"loss": loss, **step.notes}.items():
            if name == "loss" or name.endswith("accuracy"):
                figure = SMOOTH * self._figures.get(name, figure) + (1 - SMOOTH) * figure
            self._figures[name] = figure
        self._done += 1
        self._bar.update(self._done, what=f"epoch {step.epoch + 1}/{self._run.epochs}", figures=_text(self._figures))

    def on_epoch(self, record: dict[str, float]) -> None:
        """Write the epoch's line."""
        assert self._run is not None
        assert self._bar is not None
        self._seconds.append(record["seconds"])
        left = sum(self._seconds) / len(self._seconds) * (self._run.epochs - record["epoch"])
        time_left = f", {duration(left)} left" if left else ""
        epoch = f"epoch {record['epoch']:.0f}/{self._run.epochs}"
        note(self._bar.log, f"{epoch}  {_text(record)}  ({duration(record['seconds'])}{time_left})")

    def on_end(self) -> None:
        """Close the display."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
            self._bar = None


def display() -> Callback:
    """The display as the training loop wants it."""
    return cast("Callback", ProgressDisplay())


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
