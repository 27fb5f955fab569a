"""`sparring train`: train a small net, with or without a defense, and leave weights and a card that says it all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.app import app
from sparring.cli.options import DataOption, DeviceOption, NormOption, OptionalEpsOption, SeedOption

if TYPE_CHECKING:
    from sparring.data import ImageData
    from sparring.defenses.training.card import Exclusion
    from sparring.defenses.training.measure import Leg

_TRAINING, _OUTPUT = "Training", "Output"


@app.command("train")
def train(
    net: Annotated[str, typer.Option(help="wong, trades, net-f, net-f-half or madry.", rich_help_panel=_TRAINING)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.", rich_help_panel=_OUTPUT)
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data.", rich_help_panel=_TRAINING)] = 5,
    data: DataOption = "mnist5k",
    recipe: Annotated[str, typer.Option(help="standard or pgd.", rich_help_panel=_TRAINING)] = "standard",
    norm: NormOption = "Linf",
    eps: OptionalEpsOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Of the attack in training.", rich_help_panel=_TRAINING)] = 7,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.", rich_help_panel=_TRAINING)] = 128,
    lr: Annotated[
        float | None, typer.Option(help="Learning rate; the recipe's own unless given.", rich_help_panel=_TRAINING)
    ] = None,
    optimizer: Annotated[str, typer.Option(help="adam, adamw or sgd.", rich_help_panel=_TRAINING)] = "adam",
    schedule: Annotated[
        str | None,
        typer.Option(
            help="constant, drop, triangular or cosine; the recipe's own unless given.", rich_help_panel=_TRAINING
        ),
    ] = None,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    devices: Annotated[int, typer.Option(min=1, help="Processes, one a device.", rich_help_panel=_TRAINING)] = 1,
    precision: Annotated[
        str, typer.Option(help="32-true, 16-mixed or bf16-mixed.", rich_help_panel=_TRAINING)
    ] = "32-true",
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC:SPLIT",
            help="Leave out images that are also there, like mnist5k:test. May be given again.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N images.", rich_help_panel=_TRAINING)
    ] = None,
    check: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Test images to attack at the end, if there is an --eps.", rich_help_panel=_OUTPUT
        ),
    ] = 1000,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in DIR.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Train a net: DIR gets weights.safetensors, card.json and a checkpoint for every epoch.

    A run that was stopped goes on with --resume and ends in the same weights. With --eps, the card ends with what
    PGD, APGD and Square together leave of the net, never with the accuracy under the training attack alone.
    """
    from sparring.data import load_data
    from sparring.defenses.training.card import NetCard, data_card, make_card, write_card
    from sparring.defenses.training.fit import fit
    from sparring.defenses.training.measure import attacks_for, clean_accuracy, measure_worst_case
    from sparring.defenses.training.progress import ProgressDisplay
    from sparring.defenses.training.recipes import Options, find_recipe
    from sparring.errors import InputError
    from sparring.threat import Threat
    from sparring.zoo.nets import count_parameters, make_net

    threat = None if eps is None else Threat(norm, eps)
    attacks = attacks_for(threat) if threat is not None and check else ()
    chosen = find_recipe(recipe)
    loss = chosen.make(Options(threat, steps))
    images, excluded = _without(load_data(data, "train"), exclude or [])
    images = images.first(min(limit, len(images))) if limit else images
    test = load_data(data, "test")
    channels, height, width = images.shape
    if height != width:
        raise InputError(f"the pictures of {data} are {height} x {width}; the nets here take square ones (see --data)")
    module = make_net(net, in_channels=channels, num_classes=len(images.classes), size=height, seed=seed)
    fitted = fit(
        module,
        images,
        epochs=epochs,
        loss=loss,
        optimizer=optimizer,
        lr=chosen.lr if lr is None else lr,
        schedule=schedule or chosen.schedule,
        batch_size=batch_size,
        seed=seed,
        valid=test,
        out=out,
        resume=resume,
        device=device or "auto",
        devices=devices,
        precision=precision,  # type: ignore[arg-type]  # fit says which there are
        callbacks=[ProgressDisplay()],
    )
    module.to(fitted.device)
    robust = None
    if threat is not None and attacks:
        robust = measure_worst_case(
            module, test.first(min(check, len(test))), threat, attacks=attacks, seed=seed, on_leg=_say_leg
        )
    card = make_card(
        name=out.resolve().name,
        recipe=chosen.title,
        net=NetCard(net, channels, len(images.classes), height, count_parameters(module)),
        fitted=fitted,
        weights=out / "weights.safetensors",
        train=data_card(data, images, excluded),
        test=data_card(data, test),
        clean=clean_accuracy(module, test),
        robust=robust,
        classes=images.classes,
    )
    write_card(out / "card.json", card)
    _summary(card, out)


def _without(images: ImageData, exclude: list[str]) -> tuple[ImageData, list[Exclusion]]:
    """The images less those that are in one of the SPEC:SPLITs, and how many each took away."""
    from sparring.data import load_data
    from sparring.defenses.training.card import Exclusion
    from sparring.errors import InputError

    excluded = []
    for text in exclude:
        spec, colon, split = text.rpartition(":")
        if not colon:
            raise InputError(f"--exclude {text!r} is not understood; write SPEC:SPLIT, like mnist5k:test")
        before = len(images)
        images = images.without(load_data(spec, split))
        excluded.append(Exclusion(spec, split, before - len(images)))
    return images, excluded


def _say_leg(leg: Leg) -> None:
    typer.echo(f"{leg.attack}: {leg.after} of {leg.before} stand ({leg.seconds:.0f} s)", err=True)


def _summary(card: dict[str, Any], out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    net, metrics = card["net"], card["metrics"]
    clean, robust = metrics["clean"], metrics["robust"]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("net", f"{net['name']}, {net['parameters']:,} parameters")
    table.add_row("trained", f"{card['recipe']}, {card['data']['images']:,} images of {card['data']['spec']}")
    for gone in card["data"]["excluded"]:
        table.add_row("", f"without {gone['images']:,} images that are in {gone['spec']} ({gone['split']})")
    table.add_row("time", f"{card['seconds']:.0f} s on {card['device']}, epochs: {card['training']['epochs']}")
    table.add_row("clean accuracy", f"{clean['accuracy']:.2%} of {clean['images']:,} test images")
    if robust is not None:
        threat = f"{robust['threat']['norm']} {robust['threat']['eps']:.4g}"
        table.add_row("robust accuracy", f"at most {robust['accuracy']:.2%} of {robust['images']:,} at {threat}")
        table.add_row("", "after " + ", ".join(leg["attack"] for leg in robust["attacks"]))
    table.add_row("files", ", ".join(str(out / name) for name in ("weights.safetensors", "card.json")))
    Console().print(table, highlight=False)
