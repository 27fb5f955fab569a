"""`sparring verify`: does what a run has recorded hold? Asks the model again; runs no attack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.audit.options import InsteadOptions
from sparring.cli.options import BatchSizeOption, JsonOption, QuietOption, takes_options

if TYPE_CHECKING:
    from sparring.audit.run.verify import Verification


@app.command("verify", rich_help_panel=AUDIT)
@takes_options
def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of an audit, finished or not; or a bundle.")],
    instead: InsteadOptions,
    batch_size: BatchSizeOption = 256,
    public_key: Annotated[
        Path | None,
        typer.Option("--public-key", metavar="FILE", help="Of a bundle: the key (PEM) of who should have signed it."),
    ] = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Check a run again: every stored adversarial example, every figure, every page.

    Uses the model and the images of the run unless you name others, and compares their hashes. Shows each stored point
    to the model, measures that it is inside the ball and the box, and repeats the probes. Runs code that the run names
    only if you name it (--model) or trust the run (--trust).

    For a bundle (sparring bundle), checks the signature and every file, and runs nothing. Its run is checked by
    sparring verify BUNDLE/run.

    [dim]sparring verify runs/mine[/dim]

    [dim]sparring verify runs/theirs --model net.py:build --weights net.pt[/dim]

    [dim]sparring verify evidence --public-key theirs.pem[/dim]

    Exit code: 0 = everything holds, 1 = something does not, 2 = bad input, 3 = the model raised an error.
    """
    from sparring.attestation.bundle import is_bundle
    from sparring.audit.report.document import json_text
    from sparring.audit.run.verify import verify as prove
    from sparring.cli.audit.options import AuditOptions, recorded
    from sparring.cli.console import stderr
    from sparring.cli.options import built
    from sparring.export.files import check_writable
    from sparring.scale.remote import brought
    from sparring.storage import store_url, write

    if json is not None:
        check_writable(json)
    if is_bundle(run) or public_key is not None:
        _verify_bundle(run, public_key, json, quiet)
        return
    with brought(run) as folder:
        options, kept = instead.of(folder), recorded(folder)
        command = built(AuditOptions, kept).command
        found = prove(folder, *options.load.load(stderr(quiet)), batch_size, options=kept, command=command)
    if json is not None:
        write(json, json_text(found.to_dict()))
    if not quiet:
        _print(found, store_url(run) or str(found.folder))
    if not found.holds:
        raise typer.Exit(1)


def _verify_bundle(folder: Path, public_key: Path | None, json: Path | None, quiet: bool) -> None:
    from sparring.attestation.bundle import check
    from sparring.audit.report.document import json_text
    from sparring.cli.console import Stdout
    from sparring.storage import write

    found = check(folder, public_key)
    if json is not None:
        write(json, json_text(found.to_dict()))
    if not quiet:
        console = Stdout()
        console.say(f"{found.folder}: {found.files} signed files")
        console.say(f"signer: {found.signer}" + ("" if found.known else "; not compared with a key of yours"))
        if found.verdict:
            console.say(f"verdict, as signed: {found.verdict}")
        for line in found.findings:
            console.say(f"does not hold: {line}", "red")
        if not found.known:
            console.say("not covered: who signed; anybody could with this key. Give --public-key FILE", "yellow")
        text = "The signature holds." if found.holds else "The signature does not hold."
        console.say(text, "green" if found.holds else "red")
    if not found.holds:
        raise typer.Exit(1)


def _print(found: Verification, place: str) -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table
    from sparring.threat import eps_text

    console = Stdout()
    title = f"{place}: {found.shards} of {found.of} shards, {found.images} images"
    rows = table("eps", "breaks", "fool again", "inside the ball", "proved")
    for one in found.radii:
        row = (eps_text(one.eps), *map(str, (one.claimed, one.fooled, one.inside, one.proved)))
        rows.add_row(*row, style=None if one.holds else "red")
    console.say(title)
    console.print(rows)
    if found.certificates is not None:
        console.say(f"certificates: {found.certificates} images proved again")
    for part, same in found.same.items():
        note = "the same" if same else ("another version" if part == "code" else "NOT the one that was audited")
        console.say(f"{part}: {note}", "green" if same else ("yellow" if part == "code" else "red"))
    for line in found.findings:
        console.say(f"does not hold: {line}", "red")
    for line in found.not_covered:
        console.say(f"not covered: {line}", "yellow")
    if found.verdict:
        console.say(f"verdict, derived again: {found.verdict}")
    text = "Everything holds." if found.holds else "Not everything holds."
    console.say(text, "green" if found.holds else "red")
