"""`sparring reproduce physical`: stAdv, LaVAN, RP2 and EOT on photographs, and how often they fool when seen afresh."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sparring.cli.loading import check_fit
from sparring.cli.options import JsonOption, SeedOption, takes_options
from sparring.cli.reproduce.app import reproduce
from sparring.cli.reproduce.fgsm_imagenet import PhotoModel, open_photos

if TYPE_CHECKING:
    from sparring.reproduce.physical import Exhibit

DEFAULT_PICTURES = ("chelsea", "coffee", "rocket")


AttackOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="SPEC",
        help="Run this attack instead of the four; may be repeated: eot:copies=20,transform=rotation.",
    ),
]
ViewsOption = Annotated[
    str,
    typer.Option(
        metavar="VIEWS", help="See pictures through these views: 2d (the EOT paper's), rotation:22.5+scale:0.9:1.4."
    ),
]


@reproduce.command("physical")
@takes_options
def physical(
    files: Annotated[list[str] | None, typer.Argument(metavar="[PICTURE]...", help="Picture files.")] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Take these picture files too, or samples: chelsea, coffee, rocket, ..."),
    ] = None,
    attack: AttackOption = None,
    eps: Annotated[str, typer.Option(metavar="EPS", help="Attack with EOT within this Linf radius.")] = "16/255",
    views: ViewsOption = "2d",
    draws: Annotated[
        int, typer.Option(min=1, metavar="N", help="Test each picture under this many random views.")
    ] = 100,
    target: Annotated[str, typer.Option(metavar="CLASS", help="Aim at this class: a name or a number.")] = "toaster",
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write PNGs and JSON here.")] = Path(
        "physical"
    ),
    json: JsonOption = None,
    *,
    options: PhotoModel,
) -> None:
    """Flows, patches, stickers and views: how often each fools the model under fresh views.

    The pictures have no labels: the model's answer to the clean picture counts as correct.
    Without pictures, a cat, a cup of coffee and a rocket from scikit-image are used.
    """
    from rich.text import Text

    from sparring.attacks import attack as parse
    from sparring.blocks.views.transforms import transform
    from sparring.cli.console import note, stderr, working
    from sparring.reproduce.fgsm_imagenet import radius
    from sparring.reproduce.physical import ATTACKS
    from sparring.reproduce.physical import physical as run

    specs = [parse(spec).spec for spec in attack or ATTACKS]
    size, _ = radius(eps), transform(views)
    log = stderr()
    with working(log, f"loading {options.model}"):
        loaded = options.load_model()
    photos = open_photos([*(pictures or []), *(files or [])] or list(DEFAULT_PICTURES), loaded.input_size)
    check_fit(loaded, photos[0].image[None], photos[0].name)
    with working(log, "") as status:
        rooms = run(
            loaded,
            photos,
            attacks=specs,
            target=target,
            views=views,
            draws=draws,
            eps=size,
            seed=seed,
            say=lambda line: status.update(Text(line)),
        )
    data = json or out / "physical.json"
    how = {"model": loaded.name, "views": str(transform(views)), "draws": draws, "eps": size, "seed": seed}
    _save(data, rooms, how)
    _draw(rooms, out, loaded.name)
    _table(rooms, loaded.name, draws)
    note(log, f"figures: {out}\nnumbers: {data}")


def _draw(rooms: list[list[Exhibit]], out: Path, model: str) -> None:
    """A figure for each attack."""
    from sparring.attacks import find
    from sparring.reproduce.physical_figure import draw

    for room in rooms:
        draw(room, out / f"{room[0].name}.png", model, find(room[0].name).title)


def _save(path: Path, rooms: list[list[Exhibit]], how: dict[str, object]) -> None:
    from json import dumps

    from sparring._version import __version__

    content = {
        "experiment": "physical",
        **how,
        "truth": "the model's answer to the clean picture",
        "sparring": __version__,
        "results": [exhibit.record() for room in rooms for exhibit in room],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(content, indent=2) + "\n", encoding="utf-8")


def _table(rooms: list[list[Exhibit]], model: str, draws: int) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout

    target = rooms[0][0].target
    table = Table(title=Text(f"{model}, towards {target}; {draws} views of each"), title_justify="left", box=None,
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
    Stdout(width=None if sys.stdout.isatty() else 120).print(table)  # piped, rich assumes 80 columns: labels would fold
