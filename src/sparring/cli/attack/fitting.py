"""`sparring attack NAME --fit`: fit an attack that learns, measure it on images that it never saw, and write it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer
from rich.table import Table
from rich.text import Text

from sparring.cli.console import Stdout, working

if TYPE_CHECKING:
    from rich.console import Console

    from sparring.attack import Attack
    from sparring.blocks.learned.attack import LearnedAttack
    from sparring.cli.attack.options import Output, Reach
    from sparring.cli.loading import LoadOptions
    from sparring.data import ImageData
    from sparring.model import Model

_FIT = "Attacks that learn"


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """Options of the attacks that learn."""

    fit: Annotated[
        bool,
        typer.Option(
            "--fit",
            help="Fit an attack that learns on the train split of --data, and write it to --out; it is measured on "
            "--split.",
            rich_help_panel=_FIT,
        ),
    ] = False
    fit_n: Annotated[
        int | None, typer.Option(help="Learn from the first N images only.", min=2, rich_help_panel=_FIT)
    ] = None
    transfer: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Measure it on this second model, too.", rich_help_panel=_FIT),
    ] = None
    patience: Annotated[
        int | None,
        typer.Option(help="Stop after so many epochs without progress.", min=1, rich_help_panel=_FIT),
    ] = None
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the fit in --out where it stopped.", rich_help_panel=_FIT),
    ] = False


def with_weights(chosen: Attack, load: LoadOptions) -> tuple[Attack, LoadOptions]:
    """An attack that learns, with what --weights names if that is the folder of a fitted attack, not of a model."""
    from sparring.blocks.learned.attack import LearnedAttack
    from sparring.blocks.learned.weights import holds_attack
    from sparring.errors import InputError

    if not isinstance(chosen, LearnedAttack) or load.weights is None or not holds_attack(load.weights):
        return chosen, load
    from sparring.attacks import load_attack

    fitted = load_attack(load.weights)
    if fitted.info is not chosen.info:
        raise InputError(f"--weights {load.weights} is a fitted {fitted.info.name}, not {chosen.info.name}")
    return fitted, replace(load, weights=None)


def fit_and_write(
    chosen: Attack, load: LoadOptions, reach: Reach, fitting: Fitting, output: Output, seed: int, log: Console
) -> None:
    """Fit, write the attack and its pictures to --out, print the figures.

    Raises:
        InputError: the attack does not learn, there is no --out, or model, images and threat do not fit.
    """
    from sparring.blocks.learned.attack import LearnedAttack
    from sparring.cli.attack.region import region_of
    from sparring.cli.attack.setup import threat_of
    from sparring.cli.epochs import display
    from sparring.data import load_data
    from sparring.defenses.training.curves import Curves
    from sparring.errors import InputError
    from sparring.fitting.fit import fit_attack
    from sparring.fitting.pictures import write_pictures
    from sparring.storage import write_json
    from sparring.zoo import load_model

    if not isinstance(chosen, LearnedAttack):
        raise InputError(f"{chosen.info.name} does not learn; leave out --fit (sparring attacks says which do)")
    if output.out is None:
        raise InputError("say where the fitted attack goes: --out runs/uap")
    if reach.target is not None:
        if chosen.aims or not hasattr(chosen, "target"):
            raise InputError(f"{chosen.info.name} is not fitted for one class; leave out --target")
        if not reach.target.isdecimal():
            raise InputError(f"--target is {reach.target!r}; one attack for all images is fitted for one class: 3")
        chosen = cast("LearnedAttack", replace(cast("Any", chosen), target=int(reach.target)))
    with working(log, load.title):
        loaded, test = load.load()
        train = load_data(load.data, "train").named_as(loaded.classes)
        train = train.first(min(fitting.fit_n, len(train))) if fitting.fit_n else train
        second = None if fitting.transfer is None else load_model(fitting.transfer)
    model = loaded if reach.as_is else loaded.exposed()
    region = None if reach.region is None else region_of(reach.region, test.shape)
    threat = threat_of(chosen, reach.norm, reach.eps, reach.levels, region)
    if (output.out / "card.json").exists() and not (fitting.resume or output.force):
        raise InputError(f"{output.out} holds a fitted attack already; give another folder, or --force")
    curves = Curves(output.out / "training", resume=fitting.resume)
    fitted = fit_attack(
        chosen, model, train, threat,
        seed=seed, test=test, transfer=second, out=output.out, resume=fitting.resume, patience=fitting.patience,
        callbacks=[display(), curves],
    )  # fmt: skip
    with working(log, f"drawing what it does to {output.out}"):
        pictures = write_pictures(fitted, model, test, threat, output.out, seed)
    if output.json is not None:
        write_json(output.json, fitted.card)
    if not output.quiet:
        _print(fitted, load, test, model, fitting.transfer, pictures)


def _print(
    fitted: LearnedAttack, load: LoadOptions, test: ImageData, model: Model, second: str | None, pictures: list[str]
) -> None:
    console, card = Stdout(), fitted.card
    fit, scores = card["fit"], card["success"]["test"]
    head = f"{fitted.info.name} fitted to {load.model}: {fit['images']} images, {len(fit['history'])} epochs"
    table = Table.grid(padding=(0, 2))
    for name, key, meaning in (
        ("attack success rate", "untargeted", f"on {load.data} {test.split}, which it never saw"),
        ("to the wanted class", "targeted", "the class that it was given, or was fitted for"),
        ("random noise", "control", "of the same size, one for all images"),
        ("transfer", "transfer", f"on {second}"),
        ("random noise there", "transfer_control", ""),
    ):
        if key in scores:
            table.add_row(Text(name), Text(_rate(scores[key]), "bold"), Text(meaning))
    console.print(Text(f"{head}, {fit['seconds']:.0f} s"), "", table, "", sep="\n")
    if fit["stopped"]:
        console.print(Text(f"stopped early: {fit['stopped']}"))
    assert fitted.weights is not None
    folder = fitted.weights.folder
    console.print(Text(f"wrote {folder}: weights.safetensors, card.json, {', '.join(pictures)}"), soft_wrap=True)
    console.print(Text(f"use it: sparring attack {fitted.info.name} --weights {folder}", "cyan"), soft_wrap=True)


def _rate(scores: dict[str, Any]) -> str:
    share = scores["fooled"] / scores["of"] if scores["of"] else float("nan")
    return f"{share:.1%}".replace("%", " %") + f" ({scores['fooled']} of {scores['of']})"
