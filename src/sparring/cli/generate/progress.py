"""What a person sees of a generator's training: a bar and one line a record on stderr, a table at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparring.cli.console import Stdout, note, stderr
from sparring.cli.progress import Bar
from sparring.cli.tables import table

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
        self.console = stderr()
        self.samples = samples
        self.iterations = iterations
        self.bar = Bar(self.console, "iteration", iterations)
        self.means: dict[str, float] = {}

    def __enter__(self) -> Progress:
        self.bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.__exit__(None, None, None)

    def on_step(self, iteration: int, figures: dict[str, float]) -> None:
        """See `Listener`."""
        self.means = {k: SMOOTH * self.means.get(k, v) + (1 - SMOOTH) * v for k, v in figures.items()}
        self.bar.update(iteration, figures=text(self.means))

    def on_record(self, record: dict[str, float], generator: Generator) -> None:
        """See `Listener`."""
        from sparring.generators.sheets import write_sheet

        if self.samples is not None:
            write_sheet(generator.sample(100), self.samples / f"{int(record['iteration']):06}.png")
        note(self.console, f"iteration {int(record['iteration'])}/{self.iterations}  {text(record)}")

    def restart(self, what: str, total: int) -> None:
        """The bar for something else."""
        self.bar.restart(what, total)

    def step(self, iteration: int, loss: float) -> None:
        """One step of that."""
        self.means["error"] = SMOOTH * self.means.get("error", loss) + (1 - SMOOTH) * loss
        self.bar.update(iteration, figures=f"error {self.means['error']:.4f}")


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
    console = Stdout()
    console.say(f"{name}, {worth['samples']:,} samples")
    rows = table("figure", "value", "meaning", left=("value", "meaning"))
    rows.add_row("classes seen", f"{worth['classes_seen']}", f"the most frequent: {worth['largest_class']:.1%}")
    rows.add_row("Frechet distance", f"{worth['frechet']:.2f}", f"real against real: {worth['frechet_real']:.2f}")
    rows.add_row("precision, recall", f"{worth['precision']:.3f}, {worth['recall']:.3f}", "of features, 3 neighbours")
    rows.add_row("nearest training image", f"{worth['nearest']:.2f}", f"of test images: {worth['nearest_test']:.2f}")
    if worth["reconstruction"] is not None:
        rows.add_row("reconstruction error", f"{worth['reconstruction']:.4f}", "mean squared, a pixel")
    console.print(rows)


def show(card: dict[str, Any], out: Path) -> None:
    """The end of a run."""
    console = Stdout()
    net = card["net"]
    console.say(f"{card['training']['method']}, {net['name']}: {net['parameters']:,} parameters", "bold")
    if card["stopped"]:
        console.say(f"stopped: {card['stopped']}", "red")
    if card["quality"]:
        show_quality(card["quality"], card["name"])
    console.say(f"files: {out}/weights.safetensors, card.json, samples.png, samples.gif")
