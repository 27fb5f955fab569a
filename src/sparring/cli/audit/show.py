"""A report on the terminal, the verdict last."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sparring.audit.report.document import Document
    from sparring.audit.report.report import Report

DEFAULTS: dict[str, Any] = {
    "split": "test", "norm": "Linf", "suite": "standard", "seed": 0, "batch_size": 256, "shard_size": 250,
    "precision": "float32",
}  # fmt: skip
STYLES = {
    "claim-holds": "green",
    "overestimated": "red",
    "gradient-masking": "red",
    "inconclusive": "yellow",
    "no-claim": "bold",
}


STATES = {"met": "green", "failed": "red", "not settled": "yellow"}


def print_report(document: Document, page: Path | None) -> None:
    """Cascade, figures, claims, doubts, requirements, verdict, and where the page lies; to stdout."""
    from rich.text import Text

    from sparring.cli.console import Stdout

    console = Stdout()
    if not console.is_terminal:
        console = Stdout(width=max(console.width, 110))  # piped, rich assumes 80 columns and would cut the tables
    tables = [_attacks(document), _figures(document)] + ([_claims(document)] if document["claims"] else [])
    for table in tables:
        console.print(table)
        console.print()
    if document.get("receipt"):
        console.print(Text(f"receipt: {document['receipt']['said']}\n"), soft_wrap=True)
    _print_doubts(document, console)
    _print_remedies(document, console)
    for one in document["requirements"]:
        console.print(Text(one["line"], STATES[one["status"]]), soft_wrap=True)
    console.print(Text(document["verdict"], STYLES[document["status"]]))
    if page is not None:
        console.print(f"report: {page}", markup=False, highlight=False, soft_wrap=True)


def _table(*columns: str, title: str | None = None) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", box=None, pad_edge=False, header_style="bold")
    for k, column in enumerate(columns):
        table.add_column(column, justify="right" if k else "left", no_wrap=True)
    return table


def _attacks(document: Document) -> Table:
    from sparring.audit.report.document import figure, threat

    title = (
        f"{document['model']['name']} on {document['n']} images of {document['data']['name']}, {threat(document)}, "
        f"suite {document['suite']}"
    )
    table = _table("attack", "tried on", "broke", "robust accuracy after", "alone", "passes", "seconds", title=title)
    for one in document["attacks"]:
        table.add_row(
            one["attack"],
            str(one["tried"]),
            str(one["broke"]),
            f"{one['standing_after'] / document['n']:.2%}",
            "" if one["alone"] is None else f"{figure(one['alone']).value:.1%}",
            f"{one['queries'] + one['gradients']:,}",
            f"{one['seconds']:.1f}",
        )
    return table


def _figures(document: Document) -> Table:
    from sparring.audit.report import document as doc

    table = _table("figure", "share", "counted", "95 % interval")
    rows = doc.headline(document)
    strongest, worst = document["strongest_attack_alone"], document["worst_class"]
    if strongest is not None:
        rows.append((f"survive {strongest['attack']} alone, of the sanity subset", doc.figure(strongest)))
    if worst is not None and len(document["classes"]) > 1:
        name = doc.class_name(document, worst["label"])
        rows.append((f"robust accuracy of the worst class, {name}", doc.figure(worst["robust"])))
    for title, seen in rows:
        interval = f"{seen.low * 100:.1f} to {seen.high * 100:.1f} %"
        table.add_row(title, f"{seen.value:.1%}" if seen.of else "-", f"{seen.hits} of {seen.of}", interval)
    return table


def _claims(document: Document) -> Table:
    from sparring.audit.report.document import figure

    table = _table("claim", "claimed", "the same attack here", "survives everything")
    for one in document["claims"]:
        clean = one["eps"] == 0
        title = "clean accuracy" if clean else f"{one['title'] or 'any attack'} at eps {one['eps']:.4g}"
        again = "" if one["reproduced"] is None else f"{figure(one['reproduced']).value:.1%}"
        truth = f"{figure(one['truth']).value:.1%}" + (" (measured)" if clean else "")
        table.add_row(title, f"{one['claimed']:.1%}", again, truth)
    return table


def _print_remedies(document: Document, console: Console) -> None:
    from rich.text import Text

    from sparring.audit.report.document import figure
    from sparring.audit.statistics.proportion import percent

    for one in document.get("adaptive", ()):
        before, after = figure(one["oblivious"]), figure(one["adaptive"])
        console.print(Text(f"remedy tried: {one['remedy']} ({one['code']})"), soft_wrap=True)
        told = f"  {after} stand with it, {percent(before.value)} against attacks that know nothing of it\n"
        console.print(Text(told), soft_wrap=True)


def _print_doubts(document: Document, console: Console) -> None:
    from rich.text import Text

    for one in document["doubts"]:
        style = "red" if one["severe"] else "yellow"
        console.print(Text.assemble((f"doubt: {one['title']}", style), f" ({one['code']})"))
        console.print(Text(f"  {one['message']}. {one['remedy']}"))
    if document["doubts"]:
        console.print()


def fraction(text: str | None) -> float | None:
    """A share from 0.85, 85 or 85%.

    >>> fraction("85%"), fraction("0.85")
    (0.85, 0.85)
    """
    from sparring.errors import InputError

    if text is None:
        return None
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = float("nan")
    value = value / 100 if text.strip().endswith("%") or value > 1 else value
    if not 0 <= value <= 1:
        raise InputError(f"--fail-under is {text!r}; write a share or a percentage: 0.85, 85 or 85%")
    return value


def command_line(report: Report, **options: Any) -> Report:
    """The report with the command that repeats it, and the options in its settings: in one order, whoever reports."""
    from sparring.cli.audit.run_options import settings

    words, order = ["sparring", "audit"], list(settings())
    for name, value in sorted(options.items(), key=lambda option: order.index(option[0])):
        if value is None or value is False or (name in DEFAULTS and value == DEFAULTS[name]):
            continue
        for item in value if isinstance(value, list) else [value]:
            words += [f"--{name.replace('_', '-')}"] + ([] if item is True else [str(item)])
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in options.items()}
    return replace(report, command=shlex.join(words), settings={**report.settings, "options": plain})
