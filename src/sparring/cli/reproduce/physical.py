"""`sparring reproduce physical`: stAdv, LaVAN, RP2 and EOT on photographs, and how often they fool when seen afresh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.loading import channels, check_fit
from sparring.cli.options import (
    DeviceOption,
    JsonOption,
    MeanOption,
    ModelOption,
    SeedOption,
    StdOption,
    TrustOption,
    WeightsOption,
)
from sparring.cli.reproduce.fgsm_imagenet import open_photos, reproduce

if TYPE_CHECKING:
    from sparring.reproduce.physical import Exhibit

DEFAULT_PICTURES = ("chelsea", "coffee", "rocket")


@reproduce.command("physical")
def physical(
    files: Annotated[list[str] | None, typer.Argument(metavar="[PICTURE]...", help="Picture files.")] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Picture files too, or samples: chelsea, coffee, rocket, ..."),
    ] = None,
    model: ModelOption = "imagenet:efficientnet-lite0",
    weights: WeightsOption = None,
    trust: TrustOption = False,
    mean: MeanOption = None,
    std: StdOption = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help="An attack instead of the four, repeatable: eot:copies=20,transform=rotation."
        ),
    ] = None,
    eps: Annotated[str, typer.Option(metavar="EPS", help="The Linf radius of EOT.")] = "16/255",
    views: Annotated[
        str,
        typer.Option(metavar="VIEWS", help="How pictures are seen: 2d (the EOT paper's), rotation:22.5+scale:0.9:1.4."),
    ] = "2d",
    draws: Annotated[int, typer.Option(min=1, metavar="N", help="Random views of each picture.")] = 100,
    target: Annotated[str, typer.Option(metavar="CLASS", help="What to aim at: a name or a number.")] = "toaster",
    seed: SeedOption = 0,
    device: DeviceOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where PNGs and JSON go.")] = Path("physical"),
    json: JsonOption = None,
) -> None:
    """Flows, patches, stickers and views: how often each fools when its picture is seen afresh.

    Nobody labelled the pictures: the model's answer to the clean one stands for the truth.
    Without pictures, a cat, a cup of coffee and a rocket that scikit-image carries are used.
    """
    from rich.console import Console
    from rich.markup import escape

    from sparring.attack import attack as parse
    from sparring.attack import find
    from sparring.blocks.views.transforms import transform
    from sparring.reproduce.fgsm_imagenet import radius
    from sparring.reproduce.physical import ATTACKS
    from sparring.reproduce.physical import physical as run
    from sparring.reproduce.physical_figure import draw
    from sparring.zoo.loaders import load_model

    specs = [parse(spec).spec for spec in attack or ATTACKS]
    size, _ = radius(eps), transform(views)
    log = Console(stderr=True)
    with log.status(f"loading {escape(model)}"):
        loaded = load_model(
            model,
            weights=weights,
            trust=trust,
            device=device,
            mean=channels("mean", mean),
            std=channels("std", std),
        )
    photos = open_photos([*(pictures or []), *(files or [])] or list(DEFAULT_PICTURES), loaded.input_size)
    check_fit(loaded, photos[0].image[None], photos[0].name)
    with log.status("") as status:
        rooms = run(
            loaded,
            photos,
            attacks=specs,
            target=target,
            views=views,
            draws=draws,
            eps=size,
            seed=seed,
            say=lambda line: status.update(escape(line)),
        )
    for room in rooms:
        draw(room, out / f"{room[0].name}.png", loaded.name, find(room[0].name).title)
    data = json or out / "physical.json"
    _save(
        data, rooms, {"model": loaded.name, "views": str(transform(views)), "draws": draws, "eps": size, "seed": seed}
    )
    _table(rooms, loaded.name, draws)
    log.print(f"figures: {out}\nnumbers: {data}", markup=False, highlight=False, soft_wrap=True)


def _save(path: Path, rooms: list[list[Exhibit]], how: dict[str, object]) -> None:
    from json import dumps

    import sparring

    content = {
        "experiment": "physical",
        **how,
        "truth": "the model's answer to the clean picture",
        "sparring": sparring.__version__,
        "results": [exhibit.record() for room in rooms for exhibit in room],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(content, indent=2) + "\n", encoding="utf-8")


def _table(rooms: list[list[Exhibit]], model: str, draws: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    target = rooms[0][0].target
    table = Table(title=f"{model}, towards {target}; {draws} views of each", title_justify="left", box=None,
                  pad_edge=False, header_style="bold")  # fmt: skip
    columns = ("attack", "picture", "before", "after", "", "fooled", "views that fool", "clean views right")
    for column in columns:
        table.add_column(column, justify="right" if column in ("", *columns[-2:]) else "left")
    for room in rooms:
        for exhibit in room:
            table.add_row(
                exhibit.name if exhibit is room[0] else "",
                exhibit.photo.name,
                exhibit.clean.label,
                exhibit.answer.label,
                f"{exhibit.answer.confidence:.1%}",
                Text("yes", "red") if exhibit.fooled else Text("no", "green"),
                f"{exhibit.view_success:.0%}",
                f"{exhibit.clean_views:.0%}",
                end_section=exhibit is room[-1],
            )
    # Piped, rich assumes 80 columns and would fold the labels. No markup: a file may be called [red].png.
    Console(markup=False, width=None if sys.stdout.isatty() else 120).print(table)
