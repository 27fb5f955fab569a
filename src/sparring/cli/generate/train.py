"""`sparring generate train`: train a generator, and leave weights, a card, sheets of samples and its figures."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.exclusions import ExcludeOption
from sparring.cli.generate.app import generate
from sparring.cli.options import Always, DataOption, DeviceOption, SeedOption, printed, takes_options

if TYPE_CHECKING:
    from sparring.cli.generate.progress import Progress
    from sparring.data import ImageData
    from sparring.generators.loop import Trained
    from sparring.generators.watch import Watch

_TRAINING = "Training"


@dataclass(frozen=True, kw_only=True)
class GeneratorOptions:
    """What the weights of a generator depend on, beside the method."""

    data: DataOption = "mnist"
    exclude: ExcludeOption = None
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="Train on the first N images only.")] = None
    net: Annotated[
        str | None,
        typer.Option(
            help="Train these nets: gan, dcgan, wgan, defense-gan, defense-gan-16 or mlp. Default: the method's own.",
            rich_help_panel=_TRAINING,
        ),
    ] = None
    iterations: Annotated[
        int, typer.Option(min=1, help="Train the generator for this many steps.", rich_help_panel=_TRAINING), Always()
    ] = 10000
    every: Annotated[
        int,
        typer.Option(
            min=1, help="Write a record, a sheet and a checkpoint every N iterations.", rich_help_panel=_TRAINING
        ),
        Always(),
    ] = 500
    encoder: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Then train an encoder for N steps, for --start encoder; not for diffusion and pixelcnn.",
            rich_help_panel=_TRAINING,
        ),
        Always(),
    ] = 0
    seed: Annotated[SeedOption, Always()] = 0


@dataclass(frozen=True, kw_only=True)
class Watching:
    """Who looks at the samples, and what follows from it."""

    stop: Annotated[
        bool,
        typer.Option(
            "--stop/--no-stop", help="Stop at mode collapse or a vanishing gradient.", rich_help_panel=_TRAINING
        ),
    ] = True
    judge: Annotated[str, typer.Option(metavar="MODEL", help="Count the classes of samples with this classifier.")] = (
        "mnist-cnn"
    )
    check: Annotated[int, typer.Option(min=0, metavar="N", help="Measure N samples at the end; 0 = none.")] = 2000


@generate.command("train")
@takes_options
def train(
    method: Annotated[
        str,
        typer.Argument(
            metavar="METHOD",
            help="gan, dcgan, wgan, wgan-gp, diffusion or pixelcnn, with settings: wgan-gp:critic_steps=3",
        ),
    ],
    options: GeneratorOptions,
    watching: Watching,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write everything here.")],
    device: DeviceOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in DIR.")] = False,
) -> None:
    """Train a generator: DIR gets weights.safetensors, card.json, sheets of samples, samples.gif.

    --resume continues a stopped run and ends with the same weights. Training stops by itself, with a reason, when the
    samples have collapsed to one or two classes, or when the discriminator gives no more gradient.

    [dim]sparring generate train wgan-gp --data mnist --out runs/wgan-gp[/dim]

    [dim]sparring generate train diffusion:lr=2e-3 --data mnist --iterations 3500 --out runs/diffusion[/dim]

    [dim]sparring generate train dcgan --data mnist --iterations 4000 --every 200 --no-stop --out runs/dcgan[/dim]
    """
    from sparring.cli.app import Stopped
    from sparring.cli.generate.progress import show
    from sparring.generators.files import save_generator
    from sparring.generators.sheets import write_gif, write_sheet

    work = GeneratorTraining(method, options, watching, out, device)
    work.check(resume)
    try:
        trained = work.train(resume)
    except KeyboardInterrupt:
        raise Stopped(f"the run lies in {out}; go on with the same command and --resume") from None
    # On disk before it is measured and drawn: nothing that was computed is lost to an error in what follows.
    save_generator(trained.generator, out, work.card(trained, measured=False))
    card = save_generator(trained.generator, out, work.card(trained))
    write_sheet(trained.generator.sample(100, options.seed), out / "samples.png")
    if sheets := sorted(work.samples.glob("*.png")):
        write_gif(sheets, out / "samples.gif")
    show(card, out)


class GeneratorTraining:
    """One training from its options to its card.

    Raises:
        InputError: no such method, model or data, or they do not go together.
    """

    def __init__(
        self, method: str, options: GeneratorOptions, watching: Watching, out: Path, device: str | None
    ) -> None:
        from sparring.cli.exclusions import without
        from sparring.data import load_data
        from sparring.errors import InputError
        from sparring.generators.objectives import is_alone
        from sparring.generators.watch import Watch
        from sparring.zoo import load_model

        self.method, self.options, self.watching, self.out, self.device = method, options, watching, out, device
        self.name, self.settings = parse_method(method)
        if options.encoder and is_alone(self.name):
            raise InputError(f"--encoder is for generators whose z is searched; {self.name} has no use for it")
        images, self.excluded = without(load_data(options.data, "train"), list(options.exclude or []))
        self.images: ImageData = images.first(min(options.limit, len(images))) if options.limit else images
        self.watch: Watch = Watch(load_model(watching.judge))
        self.samples = out / "samples"

    def check(self, resume: bool) -> None:
        """Refuse to write over a run; forget the sheets of an unfinished one that is not gone on with.

        Raises:
            InputError: the folder holds a run.
        """
        from sparring.errors import InputError

        if resume:
            return
        if (self.out / "card.json").exists():
            raise InputError(f"{self.out} holds a run already; give --resume to go on with it, or another folder")
        for old in self.samples.glob("*.png") if self.samples.is_dir() else []:
            old.unlink()

    def train(self, resume: bool) -> Trained:
        """Train the generator, and its encoder if one is wanted."""
        from sparring.cli.generate.progress import Progress
        from sparring.generators.loop import train_generator

        options = self.options
        with Progress(options.iterations, self.samples) as progress:
            trained = train_generator(
                self.images,
                self.name,
                iterations=options.iterations,
                out=self.out,
                net=options.net,
                every=options.every,
                seed=options.seed,
                resume=resume,
                device=self.device,
                watch=self.watch,
                stop=self.watching.stop,
                listeners=[progress],
                **self.settings,
            )
            if options.encoder:
                self._train_encoder(trained, progress)
        return trained

    def _train_encoder(self, trained: Trained, progress: Progress) -> None:
        from sparring.generators.encoder import train_encoder

        steps, x = self.options.encoder, self.images.tensors()[0]
        progress.restart("encoder", steps)
        train_encoder(trained.generator, x, iterations=steps, seed=self.options.seed, on_step=progress.step)

    def card(self, trained: Trained, measured: bool = True) -> dict[str, Any]:
        """What came of it; `measured`: with the figures of its samples, which take a while."""
        options = self.options
        return {
            "command": f"sparring generate train {shlex.quote(self.method)} {printed(options)}",
            "data": {
                "spec": options.data,
                "split": "train",
                "fingerprint": self.images.fingerprint(),
                "excluded": [vars(one) for one in self.excluded],
            },
            "training": trained.settings | {"encoder": options.encoder},
            "judge": self.watching.judge,
            "quality": self._quality(trained) if measured and self.watching.check else None,
            "stopped": trained.stopped,
            "history": trained.history,
            "seconds": round(trained.seconds, 1),
        }

    def _quality(self, trained: Trained) -> dict[str, Any]:
        from sparring.data import load_data
        from sparring.generators.quality import quality

        x, test = self.images.tensors()[0], load_data(self.options.data, "test").tensors()[0]
        samples = min(self.watching.check, len(test))
        return quality(trained.generator, self.watch.judge, x, test, samples=samples).to_dict()


def parse_method(text: str) -> tuple[str, dict[str, float | int]]:
    """ "wgan-gp:critic_steps=3,lr=1e-4" as the method and its settings.

    Raises:
        InputError: a setting is not NAME=NUMBER.
    """
    from sparring.errors import InputError
    from sparring.spec import number, parse_spec

    read = parse_spec(text)
    settings: dict[str, float | int] = {}
    for key, value in read.fields.items():
        given = number(value)
        if isinstance(given, str):
            raise InputError(f"'{key}={value}' in {text!r} is not understood; write NAME=NUMBER, like critic_steps=3")
        settings[key] = given
    return read.name, settings
