"""`sparring verify`: are the breaks that a run has recorded real? One forward pass each, on any machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import app
from sparring.cli.audit.run_options import RunData, RunModel
from sparring.cli.options import BatchSizeOption, DeviceOption, JsonOption, QuietOption, TrustOption, WeightsOption

if TYPE_CHECKING:
    from sparring.audit.run.verify import Verification


@app.command("verify")
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of an audit, finished or not.")],
    model: RunModel = "",
    weights: WeightsOption = None,
    data: RunData = "",
    trust: TrustOption = False,
    device: DeviceOption = None,
    batch_size: BatchSizeOption = 256,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Prove every break that an audit has stored once more, with one forward pass each.

    The model and the images are those that the run names, unless said otherwise; their hashes are compared. That each
    stored point lies inside the ball and the box is measured again. Code that a run names is only run if you name it
    (--model) or trust the run (--trust).

    [dim]sparring verify runs/mine[/dim]

    [dim]sparring verify runs/theirs --model net.py:build --weights net.pt[/dim]

    Exit code: 0 = all of it holds, 1 = something does not, 2 = bad input.
    """
    from sparring.audit.report.document import json_text, write
    from sparring.audit.run.verify import verify as prove
    from sparring.cli.audit.run_options import kept_options, recorded, subject_of
    from sparring.export.files import check_writable

    if json is not None:
        check_writable(json)
    options = kept_options(run, trust, model=model, weights=weights, data=data, device=device)
    found = prove(run, *subject_of(options), batch_size, options=recorded(run))
    if json is not None:
        write(json, json_text(found.to_dict()))
    if not quiet:
        _print(found)
    if not found.holds:
        raise typer.Exit(1)


def _print(found: Verification) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout

    console = Stdout()
    title = f"{found.folder}: {found.shards} of {found.of} shards, {found.images} images"
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(("eps", "breaks", "fool again", "inside the ball", "proved")):
        table.add_column(column, justify="right" if k else "left", no_wrap=True)
    for one in found.radii:
        row = (f"{one.eps:.4g}", *map(str, (one.claimed, one.fooled, one.inside, one.proved)))
        table.add_row(*row, style=None if one.holds else "red")
    console.print(table)
    for part, same in found.same.items():
        note = "the same" if same else ("another version" if part == "code" else "NOT the one that was audited")
        console.print(Text(f"{part}: {note}", "green" if same else ("yellow" if part == "code" else "red")))
    for line in found.findings:
        console.print(Text(f"does not hold: {line}", "red"), soft_wrap=True)
    for line in found.not_covered:
        console.print(Text(f"not covered: {line}", "yellow"), soft_wrap=True)
    text = "All of it holds." if found.holds else "Not all of it holds."
    console.print(Text(text, "green" if found.holds else "red"))
