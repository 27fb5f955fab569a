"""`sparring compare`: two audits of the same images, image by image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import AUDIT, app
from sparring.cli.options import JsonOption, MarkdownOption, QuietOption

if TYPE_CHECKING:
    from sparring.audit.report.compare import Comparison


@app.command("compare", rich_help_panel=AUDIT)
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="An audit: its folder, or its report.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The audit to compare with it.")],
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit with code 1 if B is worse than A, clean or robust, by more than chance explains.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare two models audited on the same images: McNemar's exact test, and which images regressed or improved.

    [dim]sparring compare runs/before runs/after --fail-on-regression[/dim]

    Exit code: 0 = done, 1 = worse and --fail-on-regression, 2 = bad input, or reports about different images.
    """
    from sparring.scale.remote import brought

    with brought(a) as before, brought(b) as after:
        worse = held(before, after, json, markdown, quiet)
    if fail_on_regression and worse:
        raise typer.Exit(1)


def held(a: Path, b: Path, json: Path | None = None, markdown: Path | None = None, quiet: bool = False) -> bool:
    """Compare two audits, write and print what was found; True where B is worse by more than chance explains."""
    from sparring.audit.report import document as doc
    from sparring.audit.report.compare import compare as find
    from sparring.audit.report.compare import markdown as summary
    from sparring.export.files import check_writable
    from sparring.storage import write

    for path in (json, markdown):
        if path is not None:
            check_writable(path)
    documents = doc.read(a), doc.read(b)
    with doc.using(a, b):
        found = find(*documents)
        if json is not None:
            write(json, doc.json_text(found.to_dict()))
        if markdown is not None:
            write(markdown, summary(found))
        if not quiet:
            _print(found)
        return bool(found.regression)


def _print(found: Comparison) -> None:
    from sparring.audit.report.compare import listed
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table

    console = Stdout()
    title = f"A: {found.a}, B: {found.b}, the same {found.n} images, {found.threat}"
    rows = table("figure", "A", "B", "B - A", "95 % interval", "p", "regressed", "improved")
    for one in (found.clean, found.robust):
        low, high = one.interval
        rows.add_row(
            one.name, f"{one.a.value:.1%}", f"{one.b.value:.1%}", f"{one.difference * 100:+.1f}",
            f"{low * 100:+.1f} to {high * 100:+.1f}", f"{one.p:.2g}", str(len(one.regressed)), str(len(one.improved)),
        )  # fmt: skip
    console.say(title)
    console.print(rows)
    console.print()
    for word, ids in (("regressed", found.robust.regressed), ("improved", found.robust.improved)):
        if ids:
            console.say(f"{word} under attack, image numbers: {listed(ids)}")
    changed = [f"{name} -{lost} +{won}" for name, (lost, won) in found.robust_by_class.items()]
    if changed:
        console.say(f"by class: {', '.join(changed)}")
    for note in found.notes:
        console.say(f"note: {note}", "yellow")
    style = "red" if found.regression else ("green" if found.robust.better or found.clean.better else "bold")
    console.say(found.verdict, style)
