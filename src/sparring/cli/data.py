"""`sparring data`: what images there are, where they are read from, and whether they are here already."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import LOOK_UP, app
from sparring.cli.options import PluginOption, run_plugins

if TYPE_CHECKING:
    from rich.table import Table

    from sparring.data import DataInfo


@app.command("data", rich_help_panel=LOOK_UP)
def data(
    plugin: PluginOption = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the data sets, where each is read from, and whether it is on this machine."""
    from sparring.data import list_data

    run_plugins(plugin)
    infos = list_data()
    if json:
        import dataclasses
        from json import dumps

        typer.echo(dumps([dataclasses.asdict(info) for info in infos], indent=2))
    else:
        _table(infos)


def _table(infos: list[DataInfo]) -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table

    what = table("data", "train", "test", "shape", "classes", "what it is", left=("what it is",), whole=("data",))
    where = table("data", "here", "size", "read from", left=("here", "read from"), whole=("data",))
    for info in infos:
        counts = [f"{info.splits[split]:,}" if info.splits else "-" for split in ("train", "test")]
        shape = "x".join(map(str, info.shape)) if info.shape else "-"
        what.add_row(info.name, *counts, shape, str(info.classes or "-"), info.about)
        size = f"{info.bytes / 1e6:.1f} MB" if info.bytes else "-"
        where.add_row(info.name, _here(info), size, info.place)
    parts = [what, "", where]
    for info in infos:
        if info.options:
            parts += ["", _options(info)]
    Stdout().print(*parts, sep="\n")


def _options(info: DataInfo) -> Table:
    from sparring.cli.tables import table

    names = list(info.options)
    rows = table(f"{info.name}?{names[0]}=...", "meaning", left=("meaning",))
    for name, what in info.options.items():
        rows.add_row(name, what)
    return rows


def _here(info: DataInfo) -> str:
    if not info.splits:
        return "-"
    if set(info.offline) == set(info.splits):
        return "yes"
    return f"only {', '.join(info.offline)}" if info.offline else "no, downloads"
