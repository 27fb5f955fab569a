"""What a person sees of a generator's training: a bar and one line a record on stderr, a table at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparring.generators.pairs import Generator

SMOOTH = 0.95
"weight of the past in the means that the bar shows"
NAMES = {
    "wasserstein": "Wasserstein",
    "critic_loss": "critic",
    "generator_loss": "generator",
    "critic_accuracy": "critic right",
    "classes_seen": "classes",
}


class Progress:
    """A bar with the losses and the time left, if somebody watches; a line and a sheet of samples every record."""

    def __init__(self, iterations: int, samples: Path | None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        self.console, self.samples, self.iterations = Console(stderr=True), samples, iterations
        self.bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("iteration", total=iterations, figures="")
        self.means: dict[str, float] = {}

    def __enter__(self) -> Progress:
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def on_step(self, iteration: int, figures: dict[str, float]) -> None:
        """See `Listener`."""
        self.means = {k: SMOOTH * self.means.get(k, v) + (1 - SMOOTH) * v for k, v in figures.items()}
        self.bar.update(self.task, completed=iteration, figures=text(self.means))

    def on_record(self, record: dict[str, float], generator: Generator) -> None:
        """See `Listener`."""
        from sparring.generators.sheets import write_sheet

        if self.samples is not None:
            write_sheet(generator.sample(100), self.samples / f"{int(record['iteration']):06}.png")
        self.console.print(f"iteration {int(record['iteration'])}/{self.iterations}  {text(record)}", highlight=False)

    def restart(self, what: str, total: int) -> None:
        """The bar for something else."""
        self.bar.reset(self.task, description=what, total=total, figures="")

    def told(self, iteration: int, loss: float) -> None:
        """One step of that."""
        self.means["error"] = SMOOTH * self.means.get("error", loss) + (1 - SMOOTH) * loss
        self.bar.update(self.task, completed=iteration, figures=f"error {self.means['error']:.4f}")


def text(figures: dict[str, float]) -> str:
    """The figures that people look at.

    >>> text({"iteration": 5.0, "critic_loss": -1.5, "wasserstein": 1.75, "classes_seen": 9.0})
    'Wasserstein 1.750  critic -1.500  classes 9'
    """
    shown = []
    for key, name in NAMES.items():
        if key in figures:
            value = figures[key]
            shown.append(f"{name} {value:.0f}" if key == "classes_seen" else f"{name} {value:.3f}")
    return "  ".join(shown)


def show_quality(worth: dict[str, Any], name: str) -> None:
    """The figures as a table on stdout."""
    from rich.table import Table

    from sparring.cli.console import Stdout

    table = Table(title=f"{name}, {worth['samples']:,} samples", title_justify="left", box=None, pad_edge=False)
    for column in ("figure", "value", "meaning"):
        table.add_column(column, overflow="fold")
    table.add_row("classes seen", f"{worth['classes_seen']}", f"the most frequent: {worth['largest_class']:.1%}")
    table.add_row("Frechet distance", f"{worth['frechet']:.2f}", f"real against real: {worth['frechet_real']:.2f}")
    table.add_row("precision, recall", f"{worth['precision']:.3f}, {worth['recall']:.3f}", "of features, 3 neighbours")
    table.add_row("nearest training image", f"{worth['nearest']:.2f}", f"of test images: {worth['nearest_test']:.2f}")
    if worth["reconstruction"] is not None:
        table.add_row("reconstruction error", f"{worth['reconstruction']:.4f}", "mean squared, a pixel")
    Stdout().print(table, highlight=False)


def show(card: dict[str, Any], out: Path) -> None:
    """The end of a run."""
    from sparring.cli.console import Stdout

    console = Stdout(soft_wrap=True)
    net = card["net"]
    console.print(f"[bold]{card['training']['method']}[/bold], {net['name']}: {net['parameters']:,} parameters")
    if card["stopped"]:
        console.print(f"stopped: {card['stopped']}", style="red", highlight=False)
    if card["quality"]:
        show_quality(card["quality"], card["name"])
    console.print(f"files: {out}/weights.safetensors, card.json, samples.png, samples.gif", highlight=False)
