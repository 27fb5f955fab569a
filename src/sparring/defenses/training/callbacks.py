"""What may watch a run: a progress display, curves, an early stop. Only the first process calls them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sparring.defenses.training.loss import Step


@dataclass(frozen=True)
class RunInfo:
    """What a run is about to do.

    Attributes:
        epochs: of the whole run.
        batches: of one epoch.
        epochs_done: more than 0 when the run is resumed.
        device: where it computes, as text.
        settings: everything that defines the run, as plain values.
    """

    epochs: int
    batches: int
    epochs_done: int
    device: str
    settings: dict[str, Any]


class Callback:
    """Override what you need. It may be sent to another process: open files and displays in `on_start`."""

    def on_start(self, run: RunInfo) -> None:
        """Before the first batch."""

    def on_step(self, step: Step, loss: float) -> None:
        """After each batch; `step.notes` holds what the loss reported."""

    def on_epoch(self, record: dict[str, float]) -> None:
        """After each epoch: its figures, also when the checkpoint is on disk."""

    def on_end(self) -> None:
        """After the last batch or an error."""
