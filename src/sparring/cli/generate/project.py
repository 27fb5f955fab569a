"""`sparring generate project`: reconstructions, to train Defense-GAN's classifier on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.generate.app import generate
from sparring.cli.options import CountOption, DataOption, SeedOption, SplitOption


@generate.command("project")
def project(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="Write this .npz file; read it as npz:FILE.")
    ],
    generator: Annotated[
        str, typer.Option(metavar="GENERATOR", help="Use this generator: a shipped one, or a folder.")
    ] = "mnist-wgan-gp",
    data: DataOption = "mnist5k",
    split: SplitOption = "train",
    n: CountOption = None,
    steps: Annotated[int, typer.Option(min=1, help="Search for this many steps (L of the paper).")] = 200,
    restarts: Annotated[int, typer.Option(min=1, help="Search from this many starts (R of the paper).")] = 10,
    start: Annotated[
        str, typer.Option(help="Start from noise or from the encoder's code: noise or encoder.")
    ] = "noise",
    both: Annotated[bool, typer.Option("--both", help="Also keep the originals.")] = False,
    seed: SeedOption = 0,
) -> None:
    """Replace images by their reconstructions, so that Defense-GAN's classifier can be trained on them, or on both.

    [dim]sparring generate project --data mnist5k --steps 50 --restarts 2 --out rec.npz[/dim]

    [dim]sparring train --net wong --data npz:rec.npz --out runs/rec[/dim]
    """
    import numpy as np
    import torch

    from sparring.cli.console import stderr
    from sparring.cli.progress import Bar
    from sparring.data import load_data
    from sparring.export.files import check_writable
    from sparring.generators.files import load_generator
    from sparring.generators.projection import Projection
    from sparring.rng import Noise

    check_writable(out)
    log = stderr()
    how, made = Projection(steps, restarts, start=start), load_generator(generator)  # type: ignore[arg-type]
    x, y = load_data(data, split, n).tensors()
    parts = torch.split(x, 200)
    found = []
    with Bar(log, "projecting", len(x)) as bar:
        for part in parts:
            found.append(how.run(made, part, Noise.of(part, seed)))
            bar.update(sum(len(one.images) for one in found))
    images = torch.cat([one.images for one in found])
    error = float(torch.cat([one.error for one in found]).mean())
    if both:
        images, y = torch.cat([images, x]), torch.cat([y, y])
    with out.open("wb") as file:  # savez would add .npz to another name
        np.savez_compressed(file, images=(images * 255).round().to(torch.uint8).numpy(), labels=y.numpy())
    log.print(f"{len(y):,} images, mean squared error {error:.4f}: {out}")
