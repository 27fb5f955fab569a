"""`sparring generate autoencoders`: MagNet's nets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.exclusions import ExcludeOption
from sparring.cli.generate.app import generate
from sparring.cli.options import DataOption, SeedOption


@generate.command("autoencoders")
def autoencoders(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write weights, card and a sheet here.")],
    data: DataOption = "mnist",
    exclude: ExcludeOption = None,
    iterations: Annotated[int, typer.Option(min=1, help="Train each of the two nets for this many steps.")] = 1500,
    noise: Annotated[
        float, typer.Option(min=0, help="Add noise of this standard deviation to the images that enter.")
    ] = 0.1,
    seed: SeedOption = 0,
) -> None:
    """Train MagNet's two autoencoders, for --defense magnet:weights=DIR and its detectors. About a minute.

    The sheet shows ten test images, and their reconstructions by the coarse and the fine net.

    [dim]sparring generate autoencoders --data mnist --exclude mnist5k:test --out runs/magnet[/dim]
    """
    import torch

    from sparring.cli.console import stderr
    from sparring.cli.exclusions import without
    from sparring.cli.progress import Bar
    from sparring.data import load_data
    from sparring.generators.autoencoders import save_autoencoders, train_autoencoders
    from sparring.generators.sheets import write_sheet

    images, gone = without(load_data(data, "train"), exclude or [])
    log = stderr()
    with Bar(log, "coarse", iterations) as bar:
        both = train_autoencoders(
            images.tensors()[0],
            iterations=iterations,
            noise=noise,
            seed=seed,
            on_step=lambda name, iteration, _: bar.update(iteration, what=name),
        )
    x = load_data(data, "test").tensors()[0]
    errors = {name: float((net(x) - x).square().mean()) for name, net in both.named_children()}
    words = ["sparring generate autoencoders", f"--data {data}", *(f"--exclude {one}" for one in exclude or [])]
    card = {
        "command": " ".join([*words, f"--iterations {iterations} --noise {noise} --seed {seed}"]),
        "data": {
            "spec": data,
            "split": "train",
            "fingerprint": images.fingerprint(),
            "excluded": [vars(one) for one in gone],
        },
        "training": {"iterations": iterations, "noise": noise, "seed": seed},
        "error": errors,
    }
    save_autoencoders(both, out, card)
    some = x[:10]
    write_sheet(torch.cat([some, both.coarse(some), both.fine(some)]), out / "reconstructions.png")
    said = ", ".join(f"{name} {error:.4f}" for name, error in errors.items())
    log.print(f"mean squared error of test images: {said}; files: {out}")
