"""`sparring reproduce defense-gan`: the paper's table, and what is left when the attacker knows the defense."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.options import DataOption, JsonOption, ModelOption, SeedOption, takes_options
from sparring.cli.reproduce.app import reproduce

if TYPE_CHECKING:
    from sparring.reproduce.defense_gan import Outcome


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How large the defense and the attacks on it are."""

    eps: Annotated[float, typer.Option(help="Attack within this Linf radius.")] = 0.3
    steps: Annotated[int, typer.Option(min=1, help="Let the defense search for this many steps (L of the paper).")] = (
        200
    )
    restarts: Annotated[
        int, typer.Option(min=1, help="Let the defense search from this many starts (R of the paper).")
    ] = 10
    craft_steps: Annotated[
        int, typer.Option(min=1, help="Let the defense search for this many steps while it is attacked.")
    ] = 50
    craft_restarts: Annotated[
        int, typer.Option(min=1, help="Let the defense search from this many starts while it is attacked.")
    ] = 2
    attack_steps: Annotated[int, typer.Option(min=1, help="Let PGD take this many steps.")] = 40
    queries: Annotated[int, typer.Option(min=1, help="Let Square make this many queries per image.")] = 200
    adaptive: Annotated[
        int,
        typer.Option(
            min=1, metavar="N", help="Attack this many images with the attacks that run the defense at each step."
        ),
    ] = 100


@reproduce.command("defense-gan")
@takes_options
def defense_gan(
    model: ModelOption = "mnist-cnn",
    generator: Annotated[
        str,
        typer.Option(
            metavar="GENERATOR", help="Use this generator: a shipped one, or a folder of sparring generate train."
        ),
    ] = "mnist-wgan-gp",
    data: DataOption = "mnist",
    n: Annotated[int, typer.Option("--n", "-n", min=1, help="Take the first N test images.")] = 100,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write table and figures here.")] = Path(
        "defense-gan"
    ),
    json: JsonOption = None,
    *,
    sizes: Sizes,
) -> None:
    """Defense-GAN, which the report proposes but does not run: the published figures beside adaptive ones.

    First measures the clean accuracy behind the projection, which is the ceiling. The full defense judges every attack,
    with random starts that the attacker did not see.

    [dim]sparring reproduce defense-gan --n 1000 --adaptive 50 --out runs/defense-gan[/dim]
    """
    from sparring.cli.console import stderr
    from sparring.cli.loading import check_fit
    from sparring.data import load_data
    from sparring.export.files import check_writable
    from sparring.generators.files import load_generator
    from sparring.reproduce.defense_gan import defense_gan as run
    from sparring.zoo import load_model

    if json is not None:
        check_writable(json)
    log = stderr()
    test = load_data(data, "test")
    x, y = test.first(min(n, len(test))).tensors()
    loaded = load_model(model)
    check_fit(loaded, x[:1], data)
    outcome = run(
        loaded,
        load_generator(generator),
        x,
        y,
        **asdict(sizes),
        seed=seed,
        say=lambda line: log.print(f"attacking: {line}"),
    )
    about = {"model": model, "generator": generator, "data": data, "seed": seed}
    _write({**about, **outcome.to_dict()}, out, json)
    _print(outcome, model, out)


def _write(content: dict[str, Any], out: Path, json: Path | None) -> None:
    from json import dumps

    text = dumps(content, indent=1)
    out.mkdir(parents=True, exist_ok=True)
    (out / "defense-gan.json").write_text(text)
    if json is not None:
        json.write_text(text)


def _print(outcome: Outcome, model: str, out: Path) -> None:
    from rich.table import Table

    from sparring.cli.console import Stdout
    from sparring.reproduce.defense_gan import MODELS, PUBLISHED

    console = Stdout()
    published = Table(
        title="As published, white box, MNIST, L=200 R=10", title_justify="left", box=None, pad_edge=False
    )
    published.add_column("attack")
    for name in MODELS:
        published.add_column(name, justify="right")
        published.add_column(f"{name} + GAN", justify="right")
    for attack, (_, bare, defended) in PUBLISHED.items():
        cells = [f"{value:.1%}" for pair in zip(bare, defended, strict=True) for value in pair]
        published.add_row(attack, *cells)
    console.print(published)
    console.print()
    title = f"Measured: {model}, {outcome.images} images, L={outcome.steps} R={outcome.restarts}, Linf {outcome.eps:g}"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for column in ("attack", "knows", "images", "accuracy", "95 %", "median L2"):
        table.add_column(column, justify="left" if column in ("attack", "knows") else "right", overflow="fold")
    knows = {"none": "", "published": "a cut graph", "oblivious": "the net", "adaptive": "the defense"}
    for row in outcome.rows:
        name = "none: the ceiling" if row.kind == "none" else row.name
        interval = f"{row.low:.0%} to {row.high:.0%}"
        cells = [f"{row.images:,}", f"{row.accuracy:.1%}", interval, f"{row.l2:.2f}"]
        table.add_row(name, knows[row.kind], *cells)
    console.print(table)
    console.print(f"\nwithout the defense, no attack: {outcome.undefended:.1%}")
    worst = f"worst case within eps, image by image, {outcome.adaptive} images: {outcome.worst:.1%}"
    console.say(f"{worst} ({outcome.worst_low:.1%} to {outcome.worst_high:.1%})", "bold")
    if outcome.ceiling < 0.95:
        console.print("the ceiling is below 95 %: no claim of robustness can be judged above it", style="red")
    console.print(f"figures: {out / 'defense-gan.json'}")
