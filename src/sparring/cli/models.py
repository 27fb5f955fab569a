"""`sparring models`: the trained nets that the package ships, and what they are worth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import LOOK_UP, app

if TYPE_CHECKING:
    from sparring.zoo.shipped import ModelInfo


@app.command("models", rich_help_panel=LOOK_UP)
def models(
    json: Annotated[bool, typer.Option("--json", help="Print JSON, with the whole cards, instead of a table.")] = False,
) -> None:
    """List the shipped models with their clean and robust accuracy."""
    from sparring.zoo.shipped import list_models

    infos = list_models()
    if json:
        import dataclasses
        from json import dumps

        typer.echo(dumps([dataclasses.asdict(info) for info in infos], indent=2))
    else:
        _table(infos)


def _table(infos: list[ModelInfo]) -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table

    rows = table(
        "model",
        "net",
        "params",
        "data",
        "trained",
        "clean",
        "robust",
        left=("net", "data", "trained"),
        whole=("model", "net"),
    )
    notes: dict[str, None] = {}  # a set that keeps the order
    for info in infos:
        robust = "-"
        if info.robust_accuracy is not None:
            robust = f"{info.robust_accuracy:.1%}"
            if info.certified_accuracy is not None:
                robust = f"{info.certified_accuracy:.1%} to {robust}"
                notes["a range: the lower figure is proved, no attack can break these images"] = None
            attacks = ", ".join(info.attacks)
            notes[f"robust: at most, {info.threat}, first {info.robust_images:,} test images, after {attacks}"] = None
        rows.add_row(
            info.name,
            info.net,
            f"{info.parameters:,}",
            info.data,
            info.recipe,
            f"{info.clean_accuracy:.2%}",
            robust,
        )
    console = Stdout()
    console.print(rows)
    for note in notes:
        console.print(note, style="dim")


def markdown_table(infos: list[ModelInfo]) -> str:
    """The shipped models as a Markdown table, from their cards."""
    lines = [
        "| name | net | parameters | size | trained on | clean accuracy | robust accuracy, at most |",
        "|" + "---|" * 7,
    ]
    for info in infos:
        robust = "-"
        if info.robust_accuracy is not None:
            proved = "" if info.certified_accuracy is None else f"; at least {info.certified_accuracy:.1%}, proved"
            where = f"{info.threat}, first {info.robust_images:,} test images"
            robust = f"{info.robust_accuracy:.1%}{proved} ({where})"
        lines.append(
            f"| `{info.name}` | `{info.net}` | {info.parameters:,} | {info.bytes / 1e6:.2f} MB "
            f"| {info.data}, {info.recipe} | {info.clean_accuracy:.2%} | {robust} |"
        )
    return "\n".join(lines)
