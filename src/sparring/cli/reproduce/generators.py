"""`sparring reproduce gan | dcgan | wgan`: the report's generators, with figures beside the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.options import DataOption, JsonOption, SeedOption
from sparring.cli.reproduce.app import reproduce

if TYPE_CHECKING:
    from sparring.reproduce.generators import Outcome

EveryOption = Annotated[int, typer.Option(min=1, help="Draw a sheet and measure every N iterations.")]
NetOption = Annotated[
    str | None, typer.Option(help="Train another pair of nets than the report's: mlp is small and quick.")
]
BatchOption = Annotated[int, typer.Option(min=1, help="Use this batch size; the report's experiments use 32.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Continue the run in DIR.")]


@reproduce.command("gan")
def gan(
    data: DataOption = "mnist",
    iterations: Annotated[
        int, typer.Option(min=1, help="Train on this many mini-batches (the report's 'epochs').")
    ] = 3000,
    every: EveryOption = 200,
    net: NetOption = None,
    batch_size: BatchOption = 32,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write everything here.")] = Path("gan"),
    json: JsonOption = None,
    resume: ResumeOption = False,
) -> None:
    """Figures 3.12 to 3.14: the fully connected GAN. The report runs 30,000 mini-batches: --iterations 30000.

    [dim]sparring reproduce gan --data mnist --out runs/gan[/dim]
    """
    _run(["gan"], data, iterations, every, net, batch_size, seed, out, json, resume)


@reproduce.command("dcgan")
def dcgan(
    data: DataOption = "mnist",
    iterations: Annotated[
        int, typer.Option(min=1, help="Train on this many mini-batches (the report's 'epochs').")
    ] = 600,
    every: EveryOption = 50,
    net: NetOption = None,
    batch_size: BatchOption = 32,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write everything here.")] = Path("dcgan"),
    json: JsonOption = None,
    resume: ResumeOption = False,
) -> None:
    """Figures 3.15 to 3.18: DCGAN, which falls back into noise in the report. The report runs 4,000 mini-batches.

    [dim]sparring reproduce dcgan --data mnist --out runs/dcgan[/dim]
    """
    _run(["dcgan"], data, iterations, every, net, batch_size, seed, out, json, resume)


@reproduce.command("wgan")
def wgan(
    data: DataOption = "mnist",
    iterations: Annotated[
        int, typer.Option(min=1, help="Train the generator for this many steps, each after 5 of the critic.")
    ] = 600,
    every: EveryOption = 50,
    net: NetOption = None,
    batch_size: BatchOption = 32,
    beside: Annotated[bool, typer.Option(help="Also train DCGAN for as many iterations.")] = True,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write everything here.")] = Path("wgan"),
    json: JsonOption = None,
    resume: ResumeOption = False,
) -> None:
    """Figures 3.19 to 3.21: WGAN with clipped weights, and how much more stable it is than DCGAN.

    [dim]sparring reproduce wgan --data mnist --out runs/wgan[/dim]

    [dim]sparring reproduce wgan --net mlp --iterations 4000 --every 200 --out runs/wgan-small[/dim]
    """
    methods = ["wgan", "dcgan"] if beside else ["wgan"]
    _run(methods, data, iterations, every, net, batch_size, seed, out, json, resume)


def _run(
    methods: list[str],
    data: str,
    iterations: int,
    every: int,
    net: str | None,
    batch_size: int,
    seed: int,
    out: Path,
    json: Path | None,
    resume: bool,
) -> None:
    from json import dumps

    from sparring.cli.generate.progress import Progress
    from sparring.data import load_data
    from sparring.export.files import check_writable
    from sparring.reproduce.generators import curves, reproduce_generator
    from sparring.zoo import load_model

    if json is not None:
        check_writable(json)
    images, test, judge = load_data(data, "train"), load_data(data, "test").tensors()[0], load_model("mnist-cnn")
    outcomes = []
    for method in methods:
        with Progress(iterations, None) as progress:
            progress.console.print(f"training: {method}")
            outcomes.append(
                reproduce_generator(
                    method,
                    images,
                    test,
                    judge,
                    iterations=iterations,
                    every=every,
                    out=out / method,
                    net=net,
                    batch_size=batch_size,
                    seed=seed,
                    resume=resume,
                    listeners=[progress],
                )
            )
    curves(outcomes, out / "curves.png")
    text = dumps({"data": data, "seed": seed, "runs": [outcome.to_dict() for outcome in outcomes]}, indent=1)
    (out / "results.json").write_text(text)
    if json is not None:
        json.write_text(text)
    _print(outcomes, out)


def _print(outcomes: list[Outcome], out: Path) -> None:
    from rich.table import Table

    from sparring.cli.console import Stdout
    from sparring.reproduce.generators import REPORT

    console = Stdout()
    table = Table(box=None, pad_edge=False)
    for column in ("method", "nets", "best Frechet", "last", "relapse", "classes, second half"):
        table.add_column(column, justify="left" if column in ("method", "nets") else "right", overflow="fold")
    for one in outcomes:
        s = one.steady
        table.add_row(
            one.method, one.net, f"{s.best:.1f}", f"{s.last:.1f}", f"{s.relapse:.0%}", f"{s.fewest_classes} or more"
        )
    console.print(table, highlight=False)
    for one in outcomes:
        console.print(f"the report, {one.method}: {REPORT[one.method]}", highlight=False)
        if one.stopped:
            console.print(f"{one.method} stopped: {one.stopped}", style="red", highlight=False)
    console.print(f"sheets, GIFs, curves and generators: {out}", highlight=False)
