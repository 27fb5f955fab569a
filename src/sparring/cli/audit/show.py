"""A report on the terminal, the verdict last."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparring.cli.tables import table

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from sparring.audit.report.document import Document

STYLES = {
    "claim-holds": "green",
    "overestimated": "red",
    "gradient-masking": "red",
    "inconclusive": "yellow",
    "no-claim": "bold",
}


STATES = {"met": "green", "failed": "red", "not settled": "yellow"}


def shown(path: Path, home: Path | None, place: Path | None) -> str:
    """What to call a file of the folder `home`, which stands for `place`: a place in an object store, or itself."""
    from sparring.storage import store_url

    url = None if place is None else store_url(place)
    if url is None or home is None or not path.is_relative_to(home):
        return str(path)
    inner = path.relative_to(home).as_posix()
    return url if inner == "." else f"{url}/{inner}"


def print_report(document: Document, page: Path | str | None) -> None:
    """Cascade, figures, claims, doubts, requirements, verdict, and where the page lies; to stdout."""
    from rich.text import Text

    from sparring.audit.report.document import threat
    from sparring.cli.console import Stdout

    console = Stdout()
    images = f"{document['n']} images of {document['data']['name']}"
    console.say(f"{document['model']['name']} on {images}, {threat(document)}, suite {document['suite']}")
    tables = [_attacks(document), _figures(document)] + ([_claims(document)] if document["claims"] else [])
    for one in tables:
        console.print(one)
        console.print()
    if document.get("receipt"):
        console.print(Text(f"receipt: {document['receipt']['said']}\n"), soft_wrap=True)
    elif document.get("receipt_not_checked"):
        console.print(Text(f"receipt: not checked ({document['receipt_not_checked']})\n"), soft_wrap=True)
    if "bracket" in document:
        proof = document["bracket"]
        style = "red" if proof["refuted"] else "green" if proof["closed"] else ""
        said = f"{proof['lower']:.1%} to {proof['upper']:.1%} by {proof['method']}, {proof['open']} images open"
        console.print(Text(f"proof: {said}, {proof['seconds']:.1f} s\n", style), soft_wrap=True)
    _print_doubts(document, console)
    _print_remedies(document, console)
    for one in document["requirements"]:
        console.print(Text(one["line"], STATES[one["status"]]), soft_wrap=True)
    console.print(Text(document.get("headline") or document["verdict"], STYLES[document["status"]]), soft_wrap=True)
    for sentence in document.get("evidence", ()):
        console.print(Text(f"  {sentence}"), soft_wrap=True)
    if page is not None:
        console.say(f"report: {page}")


def _attacks(document: Document) -> Table:
    from sparring.audit.report.document import figure

    rows = table("attack", "images", "of them unbroken", "broke", "robust after", "alone", "passes", "seconds")
    for one in document["attacks"]:
        rows.add_row(
            one["attack"],
            str(one.get("images", one["tried"])),
            str(one["tried"]),
            str(one["broke"]),
            f"{one['standing_after'] / document['n']:.2%}",
            "" if one["alone"] is None else f"{figure(one['alone']).value:.1%}",
            f"{one['queries'] + one['gradients']:,}",
            f"{one['seconds']:.1f}",
        )
    return rows


def _figures(document: Document) -> Table:
    from sparring.audit.report import document as doc

    rows = table("figure", "share", "counted", "95 % interval")
    figures = doc.headline(document)
    strongest, worst = document["strongest_attack_alone"], document["worst_class"]
    if strongest is not None:
        figures.append((f"survive {strongest['attack']} alone, of the sanity subset", doc.figure(strongest)))
    if worst is not None and len(document["classes"]) > 1:
        name = doc.class_name(document, worst["label"])
        figures.append((f"robust accuracy of the worst class, {name}", doc.figure(worst["robust"])))
    for title, seen in figures:
        interval = f"{seen.low * 100:.1f} to {seen.high * 100:.1f} %"
        rows.add_row(title, f"{seen.value:.1%}" if seen.of else "-", f"{seen.hits} of {seen.of}", interval)
    return rows


def _claims(document: Document) -> Table:
    from sparring.audit.report.document import figure
    from sparring.threat import eps_text

    rows = table("claim", "claimed", "the same attack here", "survives everything")
    for one in document["claims"]:
        clean = one["eps"] == 0
        title = "clean accuracy" if clean else f"{one['title'] or 'any attack'} at eps {eps_text(one['eps'])}"
        again = "" if one["reproduced"] is None else f"{figure(one['reproduced']).value:.1%}"
        truth = f"{figure(one['truth']).value:.1%}" + (" (measured)" if clean else "")
        rows.add_row(title, f"{one['claimed']:.1%}", again, truth)
    return rows


def _print_remedies(document: Document, console: Console) -> None:
    from rich.text import Text

    from sparring.audit.report.document import figure
    from sparring.audit.statistics.proportion import percent

    for one in document.get("adaptive", ()):
        before, after = figure(one["oblivious"]), figure(one["adaptive"])
        console.print(Text(f"remedy tried: {one['remedy']} ({one['code']})"), soft_wrap=True)
        text = f"  {after} survive with it, {percent(before.value)} without it\n"
        console.print(Text(text), soft_wrap=True)


def _print_doubts(document: Document, console: Console) -> None:
    from rich.text import Text

    for one in document["doubts"]:
        style = "red" if one["severe"] else "yellow"
        console.print(Text.assemble((f"doubt: {one['title']}", style), f" ({one['code']})"))
        console.print(Text(f"  {one['message']}. {one['remedy']}"))
    if document["doubts"]:
        console.print()
