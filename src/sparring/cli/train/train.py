"""`sparring train`: train a small net, with or without a defense, and leave weights and a card that says it all."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sparring.cli.app import app
from sparring.cli.exclusions import ExcludeOption
from sparring.cli.options import DataOption, DeviceOption, NormOption, OptionalEpsOption, SeedOption

_TRAINING, _OUTPUT = "Training", "Output"


@app.command("train")
def train(
    net: Annotated[str, typer.Option(help="wong, trades, net-f, net-f-half or madry.", rich_help_panel=_TRAINING)],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.", rich_help_panel=_OUTPUT)
    ],
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the data.", rich_help_panel=_TRAINING)] = 5,
    data: DataOption = "mnist5k",
    recipe: Annotated[
        str,
        typer.Option(help="What is learned, like trades:beta=1; see the list below.", rich_help_panel=_TRAINING),
    ] = "standard",
    norm: NormOption = "Linf",
    eps: OptionalEpsOption = None,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Of the attack in training; the recipe's own unless given.", rich_help_panel=_TRAINING
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(min=1, help="Images at once; the recipe's own unless given.", rich_help_panel=_TRAINING),
    ] = None,
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
    exclude: ExcludeOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Only the first N images.", rich_help_panel=_TRAINING)
    ] = None,
    check: Annotated[
        int,
        typer.Option(
            min=0, metavar="N", help="Test images to audit at the end, if there is an --eps.", rich_help_panel=_OUTPUT
        ),
    ] = 1000,
    suite: Annotated[
        str, typer.Option(help="Of the audit at the end: quick, standard or full.", rich_help_panel=_OUTPUT)
    ] = "quick",
    alarm: Annotated[
        bool,
        typer.Option(
            "--alarm/--no-alarm",
            help="Stop when accuracy under PGD collapses (catastrophic overfitting).",
            rich_help_panel=_TRAINING,
        ),
    ] = True,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write a log for TensorBoard, too.", rich_help_panel=_OUTPUT)
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in DIR.", rich_help_panel=_OUTPUT)
    ] = False,
) -> None:
    """Train a net: DIR gets weights.safetensors, card.json, curves.png, history.csv, a checkpoint for every epoch.

    A run that was stopped goes on with --resume and ends in the same weights. With --eps, it ends with an audit, and
    the card says what that leaves of the net, never the accuracy under the training attack alone.

    Recipes: standard, label-smoothing, gaussian, jacobian, fgsm, pgd, attack, ensemble, trades, mart, awp, trades-awp,
    free, fast, fast-gradalign, teacher, distillation. Options after a colon: fast:alpha=1.25, trades:beta=6,steps=10.

    [dim]sparring train --net wong --data mnist --recipe fast --eps 0.3 --epochs 10 -o runs/fast[/dim]

    [dim]sparring train --net wong --data mnist --recipe trades:beta=1 --eps 0.3 --epochs 10 -o runs/trades[/dim]
    """
    from sparring.audit.suites.builtin import suite as find_suite
    from sparring.cli.exclusions import without
    from sparring.cli.train.check import audited, watched
    from sparring.cli.train.progress import display
    from sparring.data import load_data
    from sparring.defenses.training.card import NetCard, data_card, make_card, write_card
    from sparring.defenses.training.curves import Curves, TensorBoard
    from sparring.defenses.training.fit import fit
    from sparring.defenses.training.measure import clean_accuracy
    from sparring.defenses.training.recipes import find_recipe
    from sparring.errors import InputError
    from sparring.model import wrap
    from sparring.threat import Threat
    from sparring.zoo.nets import count_parameters, make_net

    threat = None if eps is None else Threat(norm, eps)
    chosen, values = find_recipe(recipe)
    if threat is not None:
        find_suite(suite).fit(wrap(make_net(net)), threat)  # refused now, not after hours of training
    if steps is not None:
        values["steps"] = str(steps)
    loss = chosen.loss(threat, values)
    images, excluded = without(load_data(data, "train"), exclude or [])
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
        batch_size=batch_size or chosen.batch_size,
        seed=seed,
        valid=test,
        out=out,
        resume=resume,
        device=device or "auto",
        devices=devices,
        precision=precision,  # type: ignore[arg-type]  # fit says which there are
        watch=watched(threat, chosen, alarm),
        callbacks=[
            display(),
            Curves(out, resume=resume),
            *([TensorBoard(out / "tensorboard")] if tensorboard else []),
        ],
    )
    module.to(fitted.device)
    card = make_card(
        name=out.resolve().name,
        recipe=chosen.title,
        net=NetCard(net, channels, len(images.classes), height, count_parameters(module)),
        fitted=fitted,
        weights=out / "weights.safetensors",
        train=data_card(data, images, excluded),
        test=data_card(data, test),
        clean=clean_accuracy(module, test),
        robust=None if threat is None or not check else audited(module, test, check, threat, suite, seed, out),
        classes=images.classes,
    )
    write_card(out / "card.json", card)
    _summary(card, out)


def _summary(card: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    from sparring.cli.console import Stdout

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
        table.add_row("audit", robust["verdict"])
    if card["stopped"]:
        table.add_row("stopped", card["stopped"], style="red")
    files = ["weights.safetensors", "card.json", "curves.png"] + ([] if robust is None else ["report.html"])
    table.add_row("files", ", ".join(str(out / name) for name in files))
    Stdout().print(table)
