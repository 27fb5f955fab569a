"""`sparring crosscheck`: the same attacks from every toolkit that is installed, on one model, judged alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import app
from sparring.cli.options import (
    DataOption,
    DeviceOption,
    EpsOption,
    JsonOption,
    MeanOption,
    ModelOption,
    NormOption,
    QuietOption,
    SeedOption,
    SplitOption,
    StdOption,
    TrustOption,
    WeightsOption,
)

if TYPE_CHECKING:
    from sparring.crosscheck.check import Crosscheck, Row


@app.command("crosscheck")
def crosscheck(
    model: ModelOption = "",
    weights: WeightsOption = None,
    trust: TrustOption = False,
    mean: MeanOption = None,
    std: StdOption = None,
    data: DataOption = "mnist5k",
    split: SplitOption = "test",
    n: Annotated[
        int, typer.Option("--n", "-n", min=1, metavar="N", help="The first N images.", rich_help_panel="Model and data")
    ] = 64,
    norm: NormOption = "Linf",
    eps: EpsOption = "",
    peers: Annotated[
        str | None,
        typer.Option(
            "--peers",
            metavar="NAME,...",
            help="Only these: sparring, foolbox, torchattacks, art, adv_lib, autoattack.",
            rich_help_panel="Run",
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Run the same attacks from every installed toolkit on a model, and compare what they find, cost and claim.

    FGSM, PGD, APGD-CE, C&W, DDN and FMN, as far as each toolkit has them under the norm, with the same steps. Stands:
    images for which the run saw no success within eps. Optimality: 100 % = nobody is nearer on any image (AttackBench,
    exact areas up to twice eps; attacks that fill eps reach about half). Outside, beyond: points that leave the box or
    the ball. Silent: claimed successes that a fresh look denies. Lost: successes seen on the way but not handed over.

    [dim]sparring crosscheck --model mnist-cnn --eps 0.1[/dim]

    [dim]sparring crosscheck --model net.py:build --data folder:pictures --norm L2 --eps 0.5 --n 32[/dim]
    """
    from rich.console import Console
    from rich.markup import escape

    from sparring.cli.loading import load_subject
    from sparring.crosscheck.check import PEERS
    from sparring.crosscheck.check import crosscheck as run
    from sparring.errors import InputError
    from sparring.export.files import check_writable, write_json
    from sparring.threat import Threat

    log = Console(stderr=True, quiet=quiet)
    if not eps:
        raise InputError("say how large a perturbation may be: --eps 0.3 (digits, Linf) or --eps 8/255")
    chosen = tuple(part.strip().replace("-", "_") for part in peers.split(",")) if peers else PEERS
    for name in chosen:
        if name not in PEERS:
            raise InputError(f"no peer is called {name!r}; there are {', '.join(PEERS)}")
    threat = Threat(norm, eps)
    if json is not None:
        check_writable(json)
    with log.status(f"loading {escape(model)} and {escape(data)}"):
        loaded, images = load_subject(
            model, weights=weights, trust=trust, device=device, data=data, split=split, n=n, mean=mean, std=std
        )
    with log.status("attacking"):
        found = run(loaded, *images.tensors(), threat, peers=chosen, seed=seed)
    if json is not None:
        write_json({"model": loaded.name, "data": data, "split": split, "seed": seed, **found.to_dict()}, json)
    if not quiet:
        _print(found, loaded.name)


def _print(found: Crosscheck, name: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout

    console = Stdout()
    if not console.is_terminal:
        console = Stdout(width=max(console.width, 120))
    console.print(Text(f"{name}, {found.n} images, {found.clean_correct} right, {found.threat}"), soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = (
        "attack",
        "toolkit",
        "stands",
        "optimality",
        "forward",
        "backward",
        "outside",
        "beyond",
        "silent",
        "lost",
    )
    for k, column in enumerate(columns):
        table.add_column(column, justify="left" if k < 2 else "right", no_wrap=True)
    for row in found.rows:
        table.add_row(*_cells(row, found.n))
    console.print(table)
    best = f"the envelope of all: mean distance {found.envelope_area:.4g}, capped at twice eps"
    console.print(Text(f"{best}; forward and backward: passes an image"), soft_wrap=True)
    for row in found.rows:
        if row.error is not None:
            console.print(Text(f"{row.peer} {row.attack} failed: {row.error}", "yellow"), soft_wrap=True)
    for peer, reason in found.missing.items():
        console.print(Text(f"without {peer}: {reason}", "dim"), soft_wrap=True)


def _cells(row: Row, n: int) -> list[str]:
    if row.error is not None:
        return [row.attack, row.peer, "failed", *[""] * 7]
    score = "-" if row.optimality != row.optimality else f"{row.optimality:.1%}"
    claims = "-" if row.silent is None else str(row.silent)
    counts = [f"{row.forward / n:.0f}", f"{row.backward / n:.0f}", str(row.outside), str(row.beyond), claims]
    return [row.attack, row.peer, f"{row.standing / n:.1%}", score, *counts, str(row.lost)]
