"""`sparring reproduce poisoning`: attacks on the training data, what defenses leave, and what detectors are worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.options import JsonOption, SeedOption
from sparring.cli.reproduce.app import reproduce

if TYPE_CHECKING:
    from sparring.reproduce.poisoning import Findings


@reproduce.command("poisoning")
def poisoning(
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Do this only: label-flip, backdoor, detectors, transfer, from-scratch, or targets for the last two. "
            "May be repeated.",
        ),
    ] = None,
    victim: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LEARNER",
            help="Draw the label-flip curves of this: wong:epochs=8, logistic:C=1, ... May be repeated. "
            "Default: logistic and wong:epochs=8.",
        ),
    ] = None,
    defense: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC",
            help="Measure this defense, beside none: knn, trimmed:share=0.1, trusted (the defender's 400 clean images "
            "alone), ... May be repeated. "
            "{share} stands for the share of flips and 5 points. Default: all.",
        ),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Take fewer images, shares, nets and defenses.")] = False,
    knows: Annotated[
        str,
        typer.Option(metavar="PARTS", help="Let the adversary know this: everything, nothing, data+features, ..."),
    ] = "everything",
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write poisoning.html, .md and .json here.")
    ] = None,
    json: JsonOption = None,
) -> None:
    """Poison, sanitise, train and measure, each with a control model and three seeds.

    Without --quick it takes about half an hour of one core.

    [dim]sparring reproduce poisoning --quick --json poisoning.json --out runs/poisoning[/dim]
    """
    from dataclasses import replace

    from sparring.cli.console import note, stderr
    from sparring.defenses.training.learners import learner
    from sparring.errors import InputError
    from sparring.export import check_writable
    from sparring.poisoning.knowledge import Knowledge
    from sparring.reproduce.poisoning import FULL, PARTS, QUICK, TARGETS
    from sparring.reproduce.poisoning import poisoning as run
    from sparring.reproduce.poisoning_experiment import check_defense
    from sparring.reproduce.poisoning_page import page
    from sparring.reproduce.poisoning_tables import text
    from sparring.storage import write, write_json

    parts = tuple(name for one in part or PARTS for name in (TARGETS if one == "targets" else (one,)))
    if not set(parts) <= set(PARTS):
        raise InputError(f"--part is {', '.join(parts)}; the parts are {', '.join(PARTS)}, targets")
    Knowledge.parse(knows)
    if json is not None:
        check_writable(json)
    settings = replace(QUICK if quick else FULL, seed=seed, seeds=(seed, seed + 1, seed + 2), knows=knows)
    if victim:
        settings = replace(settings, victims=tuple(learner(spec).spec for spec in victim))
    if defense:
        for spec in defense:
            check_defense(spec)
        settings = replace(settings, flip_defenses=tuple(defense), backdoor_defenses=tuple(defense))
    log = stderr()
    found = run(settings, parts, lambda line: note(log, line))
    if json is not None:
        write_json(json, found.to_dict())
    if out is not None:
        write_json(out / "poisoning.json", found.to_dict())
        write(out / "poisoning.html", page(found))
        write(out / "poisoning.md", text(found))
    _print(found)
    if out is not None:
        note(log, f"page: {out / 'poisoning.html'}")


def _print(found: Findings) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout
    from sparring.reproduce.poisoning_tables import tables

    console = Stdout()
    if not console.is_terminal:
        console = Stdout(width=max(console.width, 180))  # lines of a file need not fold
    for title, table in tables(found):
        console.print(Text(title, "bold"))
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for k, column in enumerate(table[0]):
            shown.add_column(column, justify="right" if k else "left", overflow="fold")
        for row in table[1:]:
            shown.add_row(*row)
        console.print(shown)
        console.print()
