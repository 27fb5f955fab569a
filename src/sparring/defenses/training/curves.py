"""The curves of a run as files that grow with it: a table, a picture, and TensorBoard's log where that is installed."""

from __future__ import annotations

import csv
import importlib.util
import io
from pathlib import Path
from typing import Any

from sparring.defenses.training.callbacks import Callback, RunInfo
from sparring.defenses.training.loss import Step
from sparring.errors import MissingExtra
from sparring.storage import write

LINES = {
    "valid_accuracy": ("clean, test", "#1f6feb", "-"),
    "robust_accuracy": ("under attack, test", "#cf222e", "-"),
    "accuracy": ("on what is trained on", "#57606a", ":"),
}
"""Figure of an epoch -> (label, colour, line style)."""


class Curves(Callback):
    """`history.csv` and `curves.png` in a folder, rewritten after each epoch.

    Args:
        folder: where they go. resume: keep the epochs in the table of the folder.
    """

    def __init__(self, folder: Path, resume: bool = False) -> None:
        self.folder, self.resume = folder, resume
        self.records: list[dict[str, float]] = []

    def on_start(self, run: RunInfo) -> None:
        """Read the epochs that are done."""
        table = self.folder / "history.csv"
        if self.resume and run.epochs_done and table.exists():
            with table.open(newline="", encoding="utf-8") as file:
                rows = [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]
            self.records = rows[: run.epochs_done]

    def on_epoch(self, record: dict[str, float]) -> None:
        """Write both files anew."""
        self.records.append(record)
        write(self.folder / "history.csv", _table(self.records))
        write(self.folder / "curves.png", _picture(self.records))


class TensorBoard(Callback):
    """Loss of every step and figures of every epoch, for `tensorboard --logdir FOLDER`.

    Args:
        folder: of the log.

    Raises:
        MissingExtra: tensorboard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        if importlib.util.find_spec("tensorboard") is None:
            raise MissingExtra("the TensorBoard log", "tensorboard")
        self.folder = folder
        self._writer: Any = None

    def __getstate__(self) -> dict[str, Any]:
        """The writer is opened in the process that writes."""
        return {"folder": self.folder, "_writer": None}

    def on_start(self, run: RunInfo) -> None:
        """Open the log."""
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(self.folder))

    def on_step(self, step: Step, loss: float) -> None:
        """One point of the loss."""
        self._writer.add_scalar("step/loss", loss, step.epoch * step.batches + step.batch)

    def on_epoch(self, record: dict[str, float]) -> None:
        """One point of each figure."""
        for name, value in record.items():
            if name != "epoch":
                self._writer.add_scalar(f"epoch/{name}", value, int(record["epoch"]))

    def on_end(self) -> None:
        """Close the log."""
        if self._writer is not None:
            self._writer.close()


def _table(records: list[dict[str, float]]) -> str:
    columns = list(dict.fromkeys(name for record in records for name in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def _picture(records: list[dict[str, float]]) -> bytes:
    """Accuracies above, the loss below, over epochs: a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    for name, (label, colour, style) in LINES.items():
        points = [(record["epoch"], 100 * record[name]) for record in records if name in record]
        if points:
            above.plot(*zip(*points, strict=True), style, color=colour, label=label, marker="o", markersize=3)
    above.set(ylabel="accuracy, %", ylim=(0, 101))
    above.legend(loc="lower right", frameon=False)
    below.plot([r["epoch"] for r in records], [r["loss"] for r in records], color="#57606a", marker="o", markersize=3)
    below.set(xlabel="epoch", ylabel="training loss")
    for axes in (above, below):
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=120)
    return out.getvalue()
