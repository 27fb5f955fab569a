"""`sparring train`: train a small net, with or without a defense, and leave weights and a card that says it all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sparring.cli.app import DEFEND, app
from sparring.cli.options import DeviceOption, PluginOption, SeedOption, takes_options
from sparring.cli.train.options import Fitting, Learning, TrainData, TrainFiles


@app.command("train", rich_help_panel=DEFEND)
@takes_options
def train(
    learning: Learning,
    data: TrainData,
    fitting: Fitting,
    files: TrainFiles,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    plugin: PluginOption = None,
) -> None:
    """Train a net: DIR gets weights.safetensors, card.json, curves.png, history.csv, a checkpoint for every epoch.

    --resume continues a stopped run and ends with the same weights. With --eps, training ends with an audit. The card
    gives the robust accuracy of that audit, never the accuracy under the training attack alone.

    Recipes: standard, label-smoothing, gaussian, jacobian, clipped, fgsm, pgd, attack, ensemble, trades, mart, awp,
    trades-awp, free, fast, fast-gradalign, teacher, distillation.
    Options after a colon: fast:alpha=1.25, trades:beta=6,steps=10.

    [dim]sparring train --net wong --data mnist --recipe fast --eps 0.3 --epochs 10 -o runs/fast[/dim]

    [dim]sparring train --net wong --data mnist --recipe trades:beta=1 --eps 0.3 --epochs 10 -o runs/trades[/dim]

    [dim]sparring train --net resnet20 --data cifar10 --augment crop,flip --epochs 30 -o runs/colour[/dim]
    """
    from sparring.cli.app import Stopped
    from sparring.cli.train.perform import Training
    from sparring.defenses.training.card import write_card
    from sparring.defenses.training.devices import launched

    training = Training(learning, data, fitting, files, seed, device)
    try:
        fitted = training.fit()
    except KeyboardInterrupt:
        raise Stopped(f"the run lies in {files.out}; go on with the same command and --resume") from None
    if (group := launched()) is not None and group.rank:
        return  # the first process measures, and writes the card
    card = training.card(fitted)
    write_card(files.out / "card.json", card)
    _summary(card, files.out)


def _summary(card: dict[str, Any], out: Path) -> None:
    from rich.table import Table

    from sparring.cli.console import Stdout
    from sparring.threat import eps_text

    net, metrics = card["net"], card["metrics"]
    clean, robust = metrics["clean"], metrics["robust"]
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("net", f"{net['name']}, {net['parameters']:,} parameters")
    table.add_row("trained", f"{card['recipe']}, {card['data']['images']:,} images of {card['data']['spec']}")
    if changed := card["training"].get("augment"):
        table.add_row("", f"changed at random: {changed}")
    for gone in card["data"]["excluded"]:
        table.add_row("", f"without {gone['images']:,} images that are in {gone['spec']} ({gone['split']})")
    table.add_row("time", f"{card['seconds']:.0f} s on {card['device']}, epochs: {card['training']['epochs']}")
    table.add_row("clean accuracy", f"{clean['accuracy']:.2%} of {clean['images']:,} test images")
    if robust is not None:
        threat = f"{robust['threat']['norm']} {eps_text(robust['threat']['eps'])}"
        table.add_row("robust accuracy", f"at most {robust['accuracy']:.2%} of {robust['images']:,} at {threat}")
        table.add_row("audit", robust["verdict"])
    if card["stopped"]:
        table.add_row("stopped", card["stopped"], style="red")
    files = ["weights.safetensors", "card.json", "curves.png"] + ([] if robust is None else ["report.html"])
    table.add_row("files", ", ".join(str(out / name) for name in files))
    Stdout().print(table)
