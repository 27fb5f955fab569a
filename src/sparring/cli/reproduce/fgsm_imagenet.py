"""`sparring reproduce ...`: the experiments of the source report."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sparring.cli.loading import ModelOptions, check_fit
from sparring.cli.options import JsonOption, ModelOption, SeedOption, takes_options
from sparring.cli.reproduce.app import reproduce

if TYPE_CHECKING:
    from sparring.reproduce.fgsm_imagenet import Row
    from sparring.zoo.photos import Photo

DEFAULT_PICTURES = ("chelsea", "coffee")
DEFAULT_EPS = ("0.01", "8/255", "0.1", "0.15")


@dataclass(frozen=True, kw_only=True)
class PhotoModel(ModelOptions):
    """A model of photographs, one that the package can have unless said."""

    model: ModelOption = "imagenet:efficientnet-lite0"


@reproduce.command("fgsm-imagenet")
@takes_options
def fgsm_imagenet(
    files: Annotated[
        list[str] | None, typer.Argument(metavar="[PICTURE]...", help="Pictures, or folders of them.")
    ] = None,
    pictures: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Take these picture files too, or samples: chelsea, coffee, rocket, ..."),
    ] = None,
    eps: Annotated[
        list[str] | None,
        typer.Option(metavar="EPS", help="Allow this Linf radius; may be repeated: 0.01, 8/255, 0.1, 0.15."),
    ] = None,
    target: Annotated[
        str, typer.Option(metavar="CLASS", help="Aim at this class: a name, a number or least-likely.")
    ] = "least-likely",
    labels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check the model's answers by this table; default: labels.csv beside them."),
    ] = None,
    seed: SeedOption = 0,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Write PNG and JSON here.")] = Path(
        "fgsm-imagenet"
    ),
    json: JsonOption = None,
    *,
    options: PhotoModel,
) -> None:
    """Figures 2.4 to 2.8: FGSM on photographs, label and confidence before and after.

    The model's answer to the clean picture counts as correct; a labels.csv beside the pictures tells whether it is.
    Without pictures, a cat and a cup of coffee from scikit-image are used.
    """
    from sparring.cli.console import note, stderr, working
    from sparring.reproduce.fgsm_figure import draw
    from sparring.reproduce.fgsm_imagenet import fgsm_imagenet as run
    from sparring.reproduce.fgsm_imagenet import radius

    epsilons = [radius(text) for text in eps or DEFAULT_EPS]
    log = stderr()
    with working(log, f"loading {options.model}"):
        loaded = options.load_model()
    wanted = listed([*(pictures or []), *(files or [])] or list(DEFAULT_PICTURES))
    photos = open_photos(wanted, loaded.input_size, loaded.resize)
    truths = true_labels(wanted, labels)
    check_fit(loaded, photos[0].image[None], photos[0].name)
    with working(log, f"attacking {len(photos)} pictures"):
        rows = run(loaded, photos, epsilons=epsilons, target=target, seed=seed)
    figure, data = out / "fgsm-imagenet.png", json or out / "fgsm-imagenet.json"
    _save(data, rows, loaded.name, seed, truths)
    draw(rows, figure, loaded.name)
    _table(rows, loaded.name)
    note(log, f"figure: {figure}\nnumbers: {data}")


def listed(wanted: list[str]) -> list[str]:
    """The picture files in folders, in order, in their place; all else as it is.

    Raises:
        InputError: a folder has none.
    """
    from sparring.data.pictures import suffixes
    from sparring.errors import InputError

    found = []
    for name in wanted:
        inside = sorted(str(one) for one in Path(name).glob("*") if one.suffix.lower() in suffixes())
        if Path(name).is_dir() and not inside:
            raise InputError(f"there is no picture in {name}")
        found += inside if Path(name).is_dir() else [name]
    return found


def true_labels(wanted: list[str], table: Path | None) -> dict[str, str]:
    """What the tables beside picture files say of them, by the names of the pictures.

    Raises:
        DataError: a table cannot be read.
    """
    from sparring.data.tables import read_table

    tables = {table} if table is not None else {Path(name).parent / "labels.csv" for name in wanted}
    truths: dict[str, str] = {}
    for one in sorted(tables):
        if one.is_file() or table is not None:
            read = read_table(one, one.parent)
            truths |= {path.stem: read.classes[k] for path, k in zip(read.paths, read.labels, strict=True)}
    return truths


def open_photos(wanted: list[str], input_size: tuple[int, ...] | None, resize: int | None = None) -> list[Photo]:
    """Picture files or samples by name, cut to what the model takes.

    Raises:
        InputError: the model takes no square pictures in colour, or one cannot be opened.
    """
    from sparring.errors import InputError
    from sparring.zoo.photos import SAMPLES, open_photo, sample_photos

    colours, height, width = input_size or (3, 224, 224)
    if colours != 3 or height != width:
        raise InputError(f"the model takes {colours} x {height} x {width} pixels; square pictures in colour are needed")
    return [
        sample_photos(width, [name], resize)[0]
        if name in SAMPLES and not Path(name).exists()
        else open_photo(name, width, resize)
        for name in wanted
    ]


def _save(path: Path, rows: list[Row], model: str, seed: int, truths: dict[str, str]) -> None:
    from json import dumps

    from sparring._version import __version__
    from sparring.reproduce.fgsm_imagenet import by_picture

    content: dict[str, Any] = {
        "experiment": "fgsm-imagenet",
        "model": model,
        "norm": "Linf",
        "seed": seed,
        "truth": "the model's answer to the clean picture",
        "sparring": __version__,
        "pictures": by_picture(rows, truths),
        "results": [record for row in rows for record in row.records()],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dumps(content, indent=2) + "\n", encoding="utf-8")


def _table(rows: list[Row], model: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from sparring.cli.console import Stdout
    from sparring.reproduce.fgsm_figure import eps_text

    table = Table(title=Text(f"FGSM on {model}"), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for column in ("picture", "goal", "before", "", "eps", "after", "", "fooled", "smallest eps"):
        table.add_column(column, justify="right" if column in ("", "eps") else "left")
    for row in rows:
        for shot in row.shots:
            first = shot is row.shots[0]
            table.add_row(
                row.photo.name if first else "",
                row.goal if first else "",
                row.clean.label if first else "",
                f"{row.clean.confidence:.1%}" if first else "",
                eps_text(shot.eps),
                shot.answer.label,
                f"{shot.answer.confidence:.1%}",
                Text("yes", "red") if shot.fooled else Text("no", "green"),
                ("-" if row.smallest_eps is None else f"{row.smallest_eps:.2g}") if first else "",
                end_section=shot is row.shots[-1],
            )
    Stdout(width=None if sys.stdout.isatty() else 110).print(table)  # piped, rich assumes 80 columns: labels would fold
