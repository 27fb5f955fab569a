"""`sparring compare`: two audits of the same images, image by image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import app
from sparring.cli.options import JsonOption, MarkdownOption, QuietOption

if TYPE_CHECKING:
    from sparring.audit.report.compare import Comparison


@app.command("compare")
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="An audit: its folder, or its report.json.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="The audit to hold against it.")],
    fail_on_regression: Annotated[
        bool,
        typer.Option(
            "--fail-on-regression",
            help="Exit code 1 if B is worse than A, clean or robust, by more than chance explains.",
            rich_help_panel="Judgement",
        ),
    ] = False,
    json: JsonOption = None,
    markdown: MarkdownOption = None,
    quiet: QuietOption = False,
) -> None:
    """Compare two models that were audited on the same images: McNemar's exact test, and which images changed sides.

    [dim]sparring compare runs/before runs/after --fail-on-regression[/dim]

    Exit code: 0 = done, 1 = worse and --fail-on-regression, 2 = bad input, or reports about different images.
    """
    from sparring.audit.report import document as doc
    from sparring.audit.report.compare import compare as hold
    from sparring.audit.report.compare import markdown as summary
    from sparring.export.files import check_writable

    for path in (json, markdown):
        if path is not None:
            check_writable(path)
    found = hold(doc.read(a), doc.read(b))
    if json is not None:
        doc.write(json, doc.json_text(found.to_dict()))
    if markdown is not None:
        doc.write(markdown, summary(found))
    if not quiet:
        _print(found)
    if fail_on_regression and found.regression:
        raise typer.Exit(1)


def _print(found: Comparison) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.audit.report.compare import listed
    from sparring.cli.console import Stdout

    console = Stdout()
    if not console.is_terminal:
        console = Stdout(width=max(console.width, 110))  # piped, rich assumes 80 columns and would cut the table
    title = f"A: {found.a}, B: {found.b}, the same {found.n} images, {found.threat}"
    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(("figure", "A", "B", "B - A", "95 % interval", "p", "regressed", "improved")):
        table.add_column(column, justify="right" if k else "left", no_wrap=True)
    for one in (found.clean, found.robust):
        low, high = one.interval
        table.add_row(
            one.name, f"{one.a.value:.1%}", f"{one.b.value:.1%}", f"{one.difference * 100:+.1f}",
            f"{low * 100:+.1f} to {high * 100:+.1f}", f"{one.p:.2g}", str(len(one.regressed)), str(len(one.improved)),
        )  # fmt: skip
    console.print(table)
    console.print()
    for word, ids in (("regressed", found.robust.regressed), ("improved", found.robust.improved)):
        if ids:
            console.print(Text(f"{word} under attack, image numbers: {listed(ids)}"), soft_wrap=True)
    changed = [f"{name} -{lost} +{won}" for name, (lost, won) in found.robust_by_class.items()]
    if changed:
        console.print(Text(f"by class: {', '.join(changed)}"), soft_wrap=True)
    for note in found.notes:
        console.print(Text(f"note: {note}", "yellow"), soft_wrap=True)
    style = "red" if found.regression else ("green" if found.robust.better or found.clean.better else "bold")
    console.print(Text(found.verdict, style), soft_wrap=True)
