"""The report's generators trained again (Figures 3.12 to 3.21), and how steadily each gets better.

The report trains GAN, DCGAN and WGAN for a few thousand mini-batches and looks at the pictures. Here every so often
samples are measured as well: classes seen, and the Frechet distance to test images, in the features of a classifier. A
run is steady when it stays near the best that it has reached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparring.data.images import ImageData
from sparring.generators.files import save_generator
from sparring.generators.loop import Listener, train_generator
from sparring.generators.pairs import Generator
from sparring.generators.quality import features, frechet, spread
from sparring.generators.sheets import write_gif, write_sheet
from sparring.generators.watch import Watch
from sparring.model import Model

REPORT = {
    "gan": "Figures 3.12 to 3.14: 30,000 mini-batches of 32, digits appear",
    "dcgan": "Figures 3.15 to 3.18: good until about 300 mini-batches, then noise",
    "wgan": "Figures 3.19 to 3.21: slower, and steady",
}


@dataclass(frozen=True)
class Meter(Watch):
    """A watch that measures the Frechet distance, too."""

    real: Tensor = field(default_factory=lambda: torch.empty(0, 1))

    @classmethod
    def of(cls, judge: Model, test: Tensor, samples: int = 500) -> Meter:
        """Against 1,000 test images."""
        return cls(judge, samples, real=features(judge, spread(test, 1000)))

    def measure(self, generator: Generator) -> dict[str, float]:
        """See `Watch`."""
        made = features(self.judge, generator.sample(self.samples).clamp(0, 1))
        return super().measure(generator) | {"frechet": frechet(self.real, made)}


@dataclass(frozen=True)
class Steadiness:
    """How a run went.

    Attributes:
        best, last: the smallest and the final Frechet distance. relapse: the largest rise above the best so far,
            in parts of it: 0 = it never got worse.
        fewest_classes: seen at any record of the second half.
    """

    best: float
    last: float
    relapse: float
    fewest_classes: int


def steadiness(history: Sequence[dict[str, float]]) -> Steadiness:
    """The figures of a run's records.

    >>> steadiness([{"frechet": d, "classes_seen": 9.0} for d in (8.0, 4.0, 6.0, 5.0)]).relapse
    0.5
    """
    distances = [record["frechet"] for record in history]
    rises = [later / min(distances[: k + 1]) - 1 for k, later in enumerate(distances)]
    late = history[len(history) // 2 :]
    return Steadiness(min(distances), distances[-1], max(rises), int(min(record["classes_seen"] for record in late)))


@dataclass(frozen=True)
class Outcome:
    """One method's run: its records, how steady it was, why it stopped."""

    method: str
    net: str
    history: list[dict[str, float]]
    steady: Steadiness
    stopped: str | None
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"report": REPORT[self.method]}


class _Sheets:
    """A sheet of samples at every record."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_step(self, iteration: int, figures: dict[str, float]) -> None:
        """Nothing."""

    def on_record(self, record: dict[str, float], generator: Generator) -> None:
        """Write it."""
        write_sheet(generator.sample(25), self.folder / f"{int(record['iteration']):06}.png", columns=5)


def reproduce_generator(
    method: str,
    data: ImageData,
    test: Tensor,
    judge: Model,
    *,
    iterations: int,
    every: int,
    out: Path,
    net: str | None = None,
    batch_size: int = 32,
    seed: int = 0,
    resume: bool = False,
    listeners: Sequence[Listener] = (),
) -> Outcome:
    """Train `method` ("gan", "dcgan" or "wgan") with the report's settings into `out`; nothing stops it early.

    Args:
        net: another pair of nets than the report's. batch_size: 32, as in the report's experiments.
    """
    sheets = _Sheets(out / "samples")
    trained = train_generator(
        data,
        method,
        iterations=iterations,
        out=out,
        net=net,
        every=every,
        seed=seed,
        resume=resume,
        watch=Meter.of(judge, test),
        stop=False,
        listeners=[sheets, *listeners],
        batch_size=batch_size,
    )
    save_generator(trained.generator, out, {"training": trained.settings, "history": trained.history})
    write_gif(sorted(sheets.folder.glob("*.png")), out / "samples.gif")
    outcome = Outcome(
        method,
        trained.settings["net"],
        trained.history,
        steadiness(trained.history),
        trained.stopped,
        trained.seconds,
    )
    return outcome


def curves(outcomes: Sequence[Outcome], path: Path) -> None:
    """Frechet distance and classes seen against iterations, a line a method, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    for outcome, color in zip(outcomes, ("#2a6f97", "#b3261e", "#1b6e3c"), strict=False):
        at = [record["iteration"] for record in outcome.history]
        left.plot(at, [record["frechet"] for record in outcome.history], color=color, label=outcome.method)
        right.plot(at, [record["classes_seen"] for record in outcome.history], color=color, label=outcome.method)
    left.set(xlabel="iterations", ylabel="Frechet distance", yscale="log")
    right.set(xlabel="iterations", ylabel="classes seen", ylim=(0, 10.5))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
