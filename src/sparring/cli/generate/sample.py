"""`sparring generate sample` and `quality`: look at what a generator makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sparring.cli.generate.app import generate
from sparring.cli.options import DataOption, JsonOption, SeedOption


@generate.command("sample")
def sample(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A generator: a shipped one, or a folder.")
    ] = "mnist-wgan-gp",
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=10_000, help="Draw this many samples.")] = 100,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="Write the sheet here.")] = Path(
        "samples.png"
    ),
    columns: Annotated[int, typer.Option(min=1, max=100, help="Give the sheet this many columns.")] = 10,
    separate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write every sample as a picture of its own.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Sample images and write them into one PNG.

    [dim]sparring generate sample mnist-wgan-gp --n 100 --out samples.png[/dim]
    """

    from sparring.cli.console import stderr
    from sparring.generators.files import load_generator
    from sparring.generators.sheets import sheet, write_sheet

    images = load_generator(generator).sample(n, seed)
    write_sheet(images, out, columns)
    if separate is not None:
        separate.mkdir(parents=True, exist_ok=True)
        for k, image in enumerate(images):
            pixels = sheet(image[None], 1, 1)
            pixels.crop((2, 2, pixels.width - 2, pixels.height - 2)).save(separate / f"{k:05}.png")
    stderr().print(f"{n} samples: {out}")


@generate.command("quality")
def measure(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A generator: a shipped one, or a folder.")
    ] = "mnist-wgan-gp",
    data: DataOption = "mnist",
    n: Annotated[
        int, typer.Option("--n", "-n", min=50, help="Compare this many samples with as many test images.")
    ] = 2000,
    projected: Annotated[int, typer.Option(min=0, help="Reconstruct this many test images.")] = 100,
    judge: Annotated[
        str, typer.Option(metavar="MODEL", help="Take the features and classes of this classifier.")
    ] = "mnist-cnn",
    seed: SeedOption = 0,
    json: JsonOption = None,
) -> None:
    """Measure a generator: classes seen, Frechet distance, precision and recall, memorisation, reconstruction.

    [dim]sparring generate quality mnist-wgan-gp --data mnist[/dim]
    """
    from json import dumps

    from sparring.cli.generate.progress import show_quality
    from sparring.data import load_data
    from sparring.generators.files import load_generator
    from sparring.generators.quality import quality
    from sparring.zoo import load_model

    loaded = load_generator(generator)
    train_images, test = load_data(data, "train").tensors()[0], load_data(data, "test").tensors()[0]
    worth = quality(
        loaded, load_model(judge), train_images, test, samples=min(n, len(test)), projected=projected, seed=seed
    )
    show_quality(worth.to_dict(), loaded.name)
    if json is not None:
        json.write_text(dumps({"generator": generator, "data": data, "judge": judge, **worth.to_dict()}, indent=1))
