"""`sparring poison`: a training set with an attack in it, and a manifest of what was changed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.app import ATTACK, app
from sparring.cli.options import CountOption, DataOption, JsonOption, SeedOption, takes_options

if TYPE_CHECKING:
    from sparring.poisoning.base import Poisoned

_ADVERSARY = "Adversary"


@app.command("poison", rich_help_panel=ATTACK)
@takes_options
def poison(
    spec: Annotated[
        str, typer.Argument(metavar="POISON", help="The attack: label-flip:share=0.2, badnets:share=5%,target=7, ...")
    ] = "",
    data: DataOption = "mnist5k",
    split: Annotated[str, typer.Option("--split", metavar="NAME", help="Poison this part of the data.")] = "train",
    n: CountOption = None,
    knows: Annotated[
        str,
        typer.Option(
            metavar="PARTS",
            help="Let the adversary know this: everything, nothing, or of data+features+algorithm+parameters.",
            rich_help_panel=_ADVERSARY,
        ),
    ] = "everything",
    victim: Annotated[
        str | None,
        typer.Option(
            metavar="LEARNER",
            help="Attack this learner: wong:epochs=8, logistic:C=1, ... Default: logistic for flips, else wong.",
            rich_help_panel=_ADVERSARY,
        ),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Write manifest.json and the images here.")
    ] = None,
    repeat: Annotated[
        Path | None,
        typer.Option(metavar="MANIFEST", help="Make the set of this manifest again, and check that it is the same."),
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="List the attacks and stop.")] = False,
    json: JsonOption = None,
) -> None:
    """Poison a training set. DIR gets manifest.json and the images; read it again as poisoned:DIR.

    Attacks: label-flip, badnets, blended, wanet, feature-collision, bullseye, gradient-matching (--list shows more).

    [dim]sparring poison label-flip:share=0.2 --data mnist5k --seed 0 --out runs/flipped[/dim]

    [dim]sparring train --net wong --data poisoned:runs/flipped --out runs/victim[/dim]
    """
    from sparring.cli.console import stderr, working
    from sparring.data import load_data
    from sparring.data.poisoned import write_poisoned
    from sparring.errors import InputError
    from sparring.export import check_writable
    from sparring.storage import write_json

    if list_all:
        _list()
        return
    if not spec and repeat is None:
        raise InputError("say which attack: sparring poison label-flip:share=0.2; --list shows all")
    if json is not None:
        check_writable(json)
    with working(stderr(), f"poisoning {data}"):
        if repeat is not None:
            made = _again(repeat)
        else:
            from sparring.defenses.training.learners import learner
            from sparring.poisoning import poison as find
            from sparring.poisoning.knowledge import Knowledge
            from sparring.poisoning.repeat import held_out

            attack, known = find(spec), Knowledge.parse(knows)
            chosen = None if victim is None else learner(victim)
            images = load_data(data, split, n)
            made = attack(images, seed=seed, knows=known, victim=chosen, held_out=held_out(data))
            made.manifest["data"] = data
    if out is not None:
        write_poisoned(out, made.data, made.manifest)
    if json is not None:
        write_json(json, made.manifest)
    _print(made, out)


def _again(path: Path) -> Poisoned:
    from sparring.data.poisoned import read_manifest
    from sparring.poisoning.repeat import repeat

    manifest = read_manifest(path if path.is_dir() else path.parent)
    made = repeat(manifest)
    made.manifest["data"] = manifest["data"]
    return made


def _print(made: Poisoned, out: Path | None) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout
    from sparring.poisoning.knowledge import Knowledge

    said = made.manifest
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    changed, n = len(said["changed"]), said["n"]
    relabelled = sum(a != b for a, b in zip(said["labels_before"], said["labels_after"], strict=True))
    rows = [
        ("poison", f"{said['poison']}, seed {said['seed']}"),
        ("adversary knows", str(Knowledge(**said["knows"]))),
        ("data", f"{said['data']} ({said['split']}), {n:,} images"),
        ("changed", f"{changed:,} samples ({changed / n:.1%}); labels of {relabelled:,}, "
                    f"pixels of {changed if said['pixels_changed'] else 0:,}"),
    ]  # fmt: skip
    if said["target"] is not None:
        target = said["target"]
        rows.append(("target", f"held-out image {target['number']}, class {target['true']}, wanted {target['label']}"))
    elif said["aim"] is not None:
        rows.append(("trigger means", f"class {said['aim']}"))
    if out is not None:
        rows.append(("files", f"{out / 'manifest.json'}, {out / 'poisoned.safetensors'}; read as poisoned:{out}"))
    for name, value in rows:
        table.add_row(Text(name), Text(value))
    Stdout().print(table)


def _list() -> None:
    from sparring.cli.console import Stdout
    from sparring.cli.tables import table
    from sparring.poisoning import poisons

    shown = table("poison", "goal", "labels", "makes use of", "paper", left=("goal", "labels", "makes use of", "paper"))
    for info in poisons():
        shown.add_row(info.name, info.goal, "kept" if info.clean_label else "wrong", ", ".join(info.uses), info.paper)
    Stdout().print(shown)
