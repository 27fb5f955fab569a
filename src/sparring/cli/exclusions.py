"""`--exclude`: training images that are left out because somebody tests on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sparring.data import ImageData
    from sparring.defenses.training.card import Exclusion

ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(
        "--exclude",
        metavar="SPEC:SPLIT",
        help="Leave out images that are also in this data, like mnist5k:test. May be repeated.",
        rich_help_panel="Training",
    ),
]


def without(images: ImageData, exclude: list[str]) -> tuple[ImageData, list[Exclusion]]:
    """The images less those that are in one of the SPEC:SPLITs, and how many each took away."""
    from sparring.data import load_data
    from sparring.defenses.training.card import Exclusion
    from sparring.errors import InputError

    excluded = []
    for text in exclude:
        spec, colon, split = text.rpartition(":")
        if not colon:
            raise InputError(f"--exclude {text!r} is not understood; write SPEC:SPLIT, like mnist5k:test")
        before = len(images)
        images = images.without(load_data(spec, split))
        excluded.append(Exclusion(spec, split, before - len(images)))
    return images, excluded
