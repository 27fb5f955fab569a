"""`sparring verify`: does what a run has recorded hold? Asks the model again; runs no attack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import app
from sparring.cli.audit.options import InsteadOptions
from sparring.cli.options import BatchSizeOption, JsonOption, QuietOption, takes_options

if TYPE_CHECKING:
    from sparring.audit.run.verify import Verification


@app.command("verify")
@takes_options
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of an audit, finished or not.")],
    instead: InsteadOptions,
    batch_size: BatchSizeOption = 256,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Check a run again: every stored adversarial example, every figure, every page.

    Uses the model and the images of the run unless you name others, and compares their hashes. Shows each stored point
    to the model, measures that it is inside the ball and the box, and repeats the probes. Runs code that the run names
    only if you name it (--model) or trust the run (--trust).

    [dim]sparring verify runs/mine[/dim]

    [dim]sparring verify runs/theirs --model net.py:build --weights net.pt[/dim]

    Exit code: 0 = everything holds, 1 = something does not, 2 = bad input, 3 = the model raised an error.
    """
    from sparring.audit.report.document import json_text
    from sparring.audit.run.verify import verify as prove
    from sparring.cli.audit.options import AuditOptions, recorded
    from sparring.cli.console import stderr
    from sparring.cli.options import built
    from sparring.export.files import check_writable
    from sparring.storage import write

    if json is not None:
        check_writable(json)
    options, kept = instead.of(run), recorded(run)
    command = built(AuditOptions, kept).command
    found = prove(run, *options.load.load(stderr(quiet)), batch_size, options=kept, command=command)
    if json is not None:
        write(json, json_text(found.to_dict()))
    if not quiet:
        _print(found)
    if not found.holds:
        raise typer.Exit(1)


def _print(found: Verification) -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table
    from sparring.threat import eps_text

    console = Stdout()
    title = f"{found.folder}: {found.shards} of {found.of} shards, {found.images} images"
    rows = table("eps", "breaks", "fool again", "inside the ball", "proved")
    for one in found.radii:
        row = (eps_text(one.eps), *map(str, (one.claimed, one.fooled, one.inside, one.proved)))
        rows.add_row(*row, style=None if one.holds else "red")
    console.say(title)
    console.print(rows)
    for part, same in found.same.items():
        note = "the same" if same else ("another version" if part == "code" else "NOT the one that was audited")
        console.say(f"{part}: {note}", "green" if same else ("yellow" if part == "code" else "red"))
    for line in found.findings:
        console.say(f"does not hold: {line}", "red")
    for line in found.not_covered:
        console.say(f"not covered: {line}", "yellow")
    text = "Everything holds." if found.holds else "Not everything holds."
    console.say(text, "green" if found.holds else "red")
