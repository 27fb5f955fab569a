"""`sparring generate`: train generators of images, and look at what they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from sparring.cli.app import app
from sparring.cli.exclusions import ExcludeOption
from sparring.cli.options import DataOption, DeviceOption, JsonOption, SeedOption

generate = typer.Typer(
    help="Train a GAN, WGAN, diffusion model or PixelCNN, sample from it, measure it.", no_args_is_help=True
)
app.add_typer(generate, name="generate")

_TRAINING = "Training"


@generate.command("train")
def train(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            help="gan, dcgan, wgan, wgan-gp, diffusion or pixelcnn, with settings: wgan-gp:critic_steps=3",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where everything goes.")],
    data: DataOption = "mnist",
    exclude: ExcludeOption = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Only the first N images.")] = None,
    net: Annotated[
        str | None,
        typer.Option(
            help="gan, dcgan, wgan, defense-gan, defense-gan-16 or mlp; the method's own unless given.",
            rich_help_panel=_TRAINING,
        ),
    ] = None,
    iterations: Annotated[int, typer.Option(min=1, help="Steps of the generator.", rich_help_panel=_TRAINING)] = 10000,
    every: Annotated[
        int, typer.Option(min=1, help="Iterations between two records, sheets, checkpoints.", rich_help_panel=_TRAINING)
    ] = 500,
    encoder: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Then train an encoder for N steps, for --start encoder; not for diffusion and pixelcnn.",
            rich_help_panel=_TRAINING,
        ),
    ] = 0,
    stop: Annotated[
        bool,
        typer.Option(
            "--stop/--no-stop", help="Stop at mode collapse or a vanishing gradient.", rich_help_panel=_TRAINING
        ),
    ] = True,
    judge: Annotated[str, typer.Option(metavar="MODEL", help="The classifier that counts classes.")] = "mnist-cnn",
    check: Annotated[int, typer.Option(min=0, metavar="N", help="Samples measured at the end; 0 = none.")] = 2000,
    seed: SeedOption = 0,
    device: DeviceOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in DIR.")] = False,
) -> None:
    """Train a generator: DIR gets weights.safetensors, card.json, a sheet of samples every so often, samples.gif.

    A run that was stopped goes on with --resume and ends in the same weights. It stops by itself, with a reason,
    when the samples have collapsed to a class or two or the discriminator teaches nothing more.

    [dim]sparring generate train wgan-gp --data mnist --out runs/wgan-gp[/dim]

    [dim]sparring generate train diffusion:lr=2e-3 --data mnist --iterations 3500 --out runs/diffusion[/dim]

    [dim]sparring generate train dcgan --data mnist --iterations 4000 --every 200 --no-stop --out runs/dcgan[/dim]
    """
    from sparring.cli.exclusions import without
    from sparring.cli.generate.progress import Progress, show
    from sparring.data import load_data
    from sparring.errors import InputError
    from sparring.generators.encoder import train_encoder
    from sparring.generators.files import save_generator
    from sparring.generators.loop import train_generator
    from sparring.generators.objectives import is_alone
    from sparring.generators.quality import quality
    from sparring.generators.sheets import write_gif, write_sheet
    from sparring.generators.watch import Watch
    from sparring.zoo import load_model

    name, settings = parse_method(method)
    if encoder and is_alone(name):
        raise InputError(f"--encoder is for generators whose z is searched; {name} has no use for it")
    images, gone = without(load_data(data, "train"), exclude or [])
    images = images.first(min(limit, len(images))) if limit else images
    watcher = Watch(load_model(judge))
    samples = out / "samples"
    if not resume:
        if (out / "card.json").exists():
            raise InputError(f"{out} holds a run already; give --resume to go on with it, or another folder")
        for old in samples.glob("*.png") if samples.is_dir() else []:
            old.unlink()
    with Progress(iterations, samples) as progress:
        trained = train_generator(
            images,
            name,
            iterations=iterations,
            out=out,
            net=net,
            every=every,
            seed=seed,
            resume=resume,
            device=device,
            watch=watcher,
            stop=stop,
            listeners=[progress],
            **settings,
        )
        x = images.tensors()[0]
        if encoder:
            progress.restart("encoder", encoder)
            train_encoder(trained.generator, x, iterations=encoder, seed=seed, told=progress.told)
    test = load_data(data, "test").tensors()[0]
    worth = quality(trained.generator, watcher.judge, x, test, samples=min(check, len(test))) if check else None
    card: dict[str, Any] = {
        "command": " ".join(_command(method, data, exclude, limit, net, iterations, every, encoder, seed)),
        "data": {
            "spec": data,
            "split": "train",
            "fingerprint": images.fingerprint(),
            "excluded": [vars(one) for one in gone],
        },
        "training": trained.settings | {"encoder": encoder},
        "judge": judge,
        "quality": worth and worth.to_dict(),
        "stopped": trained.stopped,
        "history": trained.history,
        "seconds": round(trained.seconds, 1),
    }
    card = save_generator(trained.generator, out, card)
    write_sheet(trained.generator.sample(100, seed), out / "samples.png")
    if sheets := sorted(samples.glob("*.png")):
        write_gif(sheets, out / "samples.gif")
    show(card, out)


def parse_method(text: str) -> tuple[str, dict[str, float | int]]:
    """ "wgan-gp:critic_steps=3,lr=1e-4" as the method and its settings.

    Raises:
        InputError: a setting is not NAME=NUMBER.
    """
    from sparring.errors import InputError

    name, _, rest = text.partition(":")
    settings: dict[str, float | int] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = (part.strip() for part in item.partition("="))
        try:
            settings[key] = int(value) if value.lstrip("-").isdigit() else float(value)
        except ValueError:
            equals = ""
        if not equals:
            raise InputError(f"{item!r} in {text!r} is not understood; write NAME=NUMBER, like critic_steps=3")
    return name, settings


def _command(
    method: str, data: str, exclude: list[str] | None, limit: int | None, net: str | None, *numbers: int
) -> list[str]:
    iterations, every, encoder, seed = numbers
    words = ["sparring generate train", method, f"--data {data}", *(f"--exclude {one}" for one in exclude or [])]
    words += [f"--limit {limit}"] if limit else []
    words += [f"--net {net}"] if net else []
    return [*words, f"--iterations {iterations} --every {every} --encoder {encoder} --seed {seed}"]


@generate.command("sample")
def sample(
    generator: Annotated[
        str, typer.Argument(metavar="GENERATOR", help="A shipped one, or a folder.")
    ] = "mnist-wgan-gp",
    n: Annotated[int, typer.Option("--n", "-n", min=1, max=10_000, help="How many.")] = 100,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The sheet.")] = Path("samples.png"),
    columns: Annotated[int, typer.Option(min=1, max=100, help="Of the sheet.")] = 10,
    separate: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also every sample as a picture of its own.")
    ] = None,
    seed: SeedOption = 0,
) -> None:
    """Make images: one PNG with all of them.

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
        str, typer.Argument(metavar="GENERATOR", help="A shipped one, or a folder.")
    ] = "mnist-wgan-gp",
    data: DataOption = "mnist",
    n: Annotated[int, typer.Option("--n", "-n", min=50, help="Samples, and as many test images.")] = 2000,
    projected: Annotated[int, typer.Option(min=0, help="Test images to reconstruct.")] = 100,
    judge: Annotated[str, typer.Option(metavar="MODEL", help="The classifier behind the figures.")] = "mnist-cnn",
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
