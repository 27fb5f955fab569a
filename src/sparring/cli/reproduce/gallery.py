"""`sparring reproduce gallery`: does the audit see through every trick, and leave the honest nets alone?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.options import JsonOption, SeedOption
from sparring.cli.reproduce.app import reproduce


@reproduce.command("gallery")
def gallery(
    names: Annotated[list[str] | None, typer.Argument(metavar="[MODEL]...", help="Members; all unless named.")] = None,
    n: Annotated[int, typer.Option("--n", min=20, help="Take the first N test images of mnist5k.")] = 60,
    cache: Annotated[Path, typer.Option(metavar="DIR", help="Keep trained nets here.")] = Path("runs/gallery"),
    page: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page of the documentation too.")] = None,
    rows: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Keep each row here; rows found here are not made again."),
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """The audit's own regression suite: honest and broken defenses, each with its known verdict and cause.

    Trains some members first, about a minute each; nets in the cache are used again.

    [dim]sparring reproduce gallery --page docs/gallery.md[/dim]

    [dim]sparring reproduce gallery plain pgd "rounding layer" --n 40[/dim]

    [dim]sparring reproduce gallery --rows runs/gallery-rows --page docs/gallery.md[/dim]   (go on where it was stopped)

    Exit code: 1 = a verdict or its cause is wrong.
    """
    from rich.table import Table

    from sparring.cli.console import Stdout, stderr
    from sparring.data import load_data
    from sparring.errors import InputError
    from sparring.reproduce.gallery import find, run
    from sparring.reproduce.gallery_members import GALLERY
    from sparring.reproduce.gallery_models import Workshop
    from sparring.reproduce.gallery_page import cells, json_text, keep, kept
    from sparring.reproduce.gallery_page import page as text
    from sparring.storage import write

    unknown = set(names or ()) - {member.name for member in GALLERY}
    if unknown:
        known = ", ".join(repr(member.name) for member in GALLERY)
        raise InputError(f"the gallery has no {sorted(unknown)[0]!r}; it has {known}")
    log = stderr()
    x, y = load_data("mnist5k", n=n).tensors()
    members = find(names) if names else GALLERY
    found = {}
    for member in members:
        row = None if rows is None else kept(rows, member.name, n, seed)
        if row is None:
            (made,) = run([member], Workshop(cache, seed), x, y, seed=seed, say=lambda name: log.print(name))
            row = made.to_dict()
            if rows is not None:
                keep(rows, row, n, seed)
        found[member.name] = row
    done = list(found.values())
    table = Table(title=f"The gallery, {n} images, seed {seed}", title_justify="left", box=None, pad_edge=False)
    for column in ("model", "eps", "expected", "seen", "right", "claimed", "by the audit", "passes", "seconds"):
        table.add_column(column, overflow="fold")
    for row in done:
        table.add_row(*cells(row), style=None if row["right"] else "red")
    console = Stdout()
    (console if console.is_terminal else Stdout(width=max(console.width, 180))).print(table)
    if page is not None:
        write(page, text(done, n, seed))
    if json is not None:
        write(json, json_text(done, n, seed))
    if not all(row["right"] for row in done):
        raise typer.Exit(1)
