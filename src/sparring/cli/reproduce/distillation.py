"""`sparring reproduce distillation`: the report's claim, its defects, and the truth beside it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.exclusions import ExcludeOption
from sparring.cli.options import DataOption, JsonOption, SeedOption, takes_options
from sparring.cli.reproduce.app import reproduce

if TYPE_CHECKING:
    from sparring.data import ImageData
    from sparring.reproduce.distillation import Outcome


@dataclass(frozen=True, kw_only=True)
class Training:
    """How the four nets are trained."""

    epochs: Annotated[int, typer.Option(min=1, help="Train each of the four nets for so many epochs.")] = 4
    temperature: Annotated[float, typer.Option(min=1, help="Train teacher and students at this temperature.")] = 100.0
    batch_size: Annotated[int, typer.Option(min=1, help="Use this batch size.")] = 128


@reproduce.command("distillation")
@takes_options
def distillation(
    data: DataOption = "mnist",
    n: Annotated[int, typer.Option("--n", min=50, help="Take the first N test images.")] = 1000,
    exclude: ExcludeOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Train on the first N images only.")] = None,
    audited: Annotated[int, typer.Option(min=1, help="Audit this many test images.")] = 200,
    suite: Annotated[str, typer.Option(help="Audit with this suite: quick, standard or full.")] = "quick",
    seed: SeedOption = 0,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Write nets, figures and report here.")
    ] = Path("distillation"),
    json: JsonOption = None,
    *,
    training: Training,
) -> None:
    """Figures 3.10 and 3.11, as published and corrected: 88 % "robust" accuracy that is not there.

    Trains Net F, a teacher and two students (about 20 minutes on two cores for full MNIST; nets already
    trained in DIR are used again), measures them by the notebook's protocol and by a correct one, and audits all three.

    [dim]sparring reproduce distillation --data mnist --out runs/distillation[/dim]

    [dim]sparring reproduce distillation --data mnist5k --epochs 8 --batch-size 32 --n 200 --out runs/small[/dim]
    """
    from sparring.cli.console import stderr
    from sparring.cli.epochs import display
    from sparring.data import load_data
    from sparring.export.files import check_writable
    from sparring.reproduce.distillation import distillation as run
    from sparring.reproduce.distillation_nets import train_nets

    log = stderr()
    images, test = _images(data, exclude or [], limit), load_data(data, "test")
    if json is not None:
        check_writable(json)

    def callbacks(name: str) -> list[object]:
        log.print(f"training: {name}")
        return [display()]

    nets = train_nets(
        images,
        **asdict(training),
        seed=seed,
        out=out / "nets",
        callbacks=callbacks,  # type: ignore[arg-type]
    )
    x, y = test.first(min(n, len(test))).tensors()
    outcome = run(
        nets,
        x,
        y,
        audited=min(audited, len(x)),
        suite=suite,
        seed=seed,
        say=lambda line: log.print(line),
    )
    _write(outcome, out, json)
    _print(outcome, out)


def _images(data: str, exclude: list[str], limit: int | None) -> ImageData:
    """The training images, of the size that Net F takes.

    Raises:
        InputError: they have another.
    """
    from sparring.cli.exclusions import without
    from sparring.data import load_data
    from sparring.errors import InputError

    images, _ = without(load_data(data, "train"), exclude)
    if images.shape != (1, 28, 28):
        raise InputError(f"Net F takes grey pictures of 28 x 28, {data} has {images.shape}; give mnist or mnist5k")
    return images.first(min(limit, len(images))) if limit else images


def _write(outcome: Outcome, out: Path, json: Path | None) -> None:
    """The numbers first, then the figures and the audits."""
    from json import dumps

    from sparring.reproduce.distillation_figures import published_figure, truth_figure

    text = dumps(outcome.to_dict(), indent=1)
    (out / "distillation.json").write_text(text)
    if json is not None:
        json.write_text(text)
    (out / "figure-3.10.png").write_bytes(published_figure(outcome, "undefended"))
    (out / "figure-3.11.png").write_bytes(published_figure(outcome, "published"))
    (out / "truth.png").write_bytes(truth_figure(outcome))
    for name, report in outcome.audits.items():
        report.to_html(out / f"audit-{name}.html")


def _print(outcome: Outcome, out: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout
    from sparring.reproduce.distillation import EPSILONS, REPORTED

    console = Stdout()

    def table(title: str, *columns: str) -> Table:
        made = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for k, column in enumerate(columns):
            made.add_column(column, justify="right" if k else "left", overflow="fold")
        return made

    names = {"undefended": "no defense", "published": '"distilled"', "distilled": "truly distilled"}
    claim = table(
        f"The claim: the notebook's protocol, {outcome.n} test images",
        *("net", "attack", "eps 0", "0.1", "0.2", "0.3", "the report, 0 to 0.3"),
    )
    for net, rows in outcome.claimed.items():
        for attack, accuracies in rows.items():
            shown = [f"{accuracies[EPSILONS.index(eps)]:.2%}" for eps in (0.0, 0.1, 0.2, 0.3)]
            said = "{:.2%} to {:.2%}".format(*REPORTED[net]) if attack == "FGSM" else ""
            claim.add_row(names[net], attack, *shown, said)
    defects = table("The defects behind it", "", "defect", "with", "without", "measured")
    for one in outcome.defects:
        defects.add_row(str(one.number), one.what, f"{one.with_it:.2%}", f"{one.without_it:.2%}", one.measured)
    truth = table("The truth: accuracy left at eps 0.3, eval mode", "attack", *names.values())
    for line in outcome.truth:
        truth.add_row(line.what, *(f"{line.values[net]:.2%}" for net in names))
    truth.add_row("all attacks of the audit", *(f"{outcome.audits[net].robust_accuracy:.2%}" for net in names))
    for made in (claim, defects, truth):
        console.print(made)
        console.print()
    for net, report in outcome.audits.items():
        console.print(Text.assemble((f"{names[net]}:", "bold"), f" {report.verdict}"))
    console.print(f"\nfigures, audits and nets: {out}")
