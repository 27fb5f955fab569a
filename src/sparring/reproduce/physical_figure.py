"""The pictures of `physical`: one figure an attack, a row a photograph; clean, change, result and some random views."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from sparring.reproduce.fgsm_figure import FOOLED, HELD, MISSED, PLAIN
from sparring.reproduce.fgsm_imagenet import Answer
from sparring.reproduce.physical import Exhibit

PANEL, CAPTION, GAP = 1.5, 0.5, 0.08  # inches: a picture, the text below it, the space beside it
LEFT, TOP, BOTTOM = 1.25, 0.72, 0.3
DPI = 95
COLOURS = 256
"a palette keeps a figure of photographs small"


def draw(exhibits: Sequence[Exhibit], path: Path, model: str, title: str) -> None:
    """Write the figure of one attack as a PNG to `path`; `model` and `title` are for its heading."""
    columns = 3 + len(exhibits[0].views)
    width = LEFT + columns * (PANEL + GAP)
    height = TOP + len(exhibits) * (PANEL + CAPTION) + BOTTOM
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.subplots(len(exhibits), columns, squeeze=False)
    figure.subplots_adjust(
        left=LEFT / width,
        right=1 - GAP / width,
        bottom=(BOTTOM + CAPTION) / height,
        top=1 - TOP / height,
        wspace=GAP / PANEL,
        hspace=CAPTION / PANEL,
    )
    heading = f"{title} on {model}, towards {exhibits[0].target}"
    figure.suptitle(heading, x=0.01, y=1 - 0.1 / height, ha="left", va="top", fontsize=12, weight="bold")
    names = ["clean", "change", "result", *("seen at random" for _ in exhibits[0].views)]
    for axes, name in zip(grid[0], names, strict=True):
        axes.set_title(name, fontsize=9, color=PLAIN, pad=4)
    for line, exhibit in zip(grid, exhibits, strict=True):
        _draw_row(line, exhibit)
    note = (
        f"{exhibits[0].spec}. Frames: red = the target, brown = another label, green = the clean label. "
        "Change: grey is none, the largest is black or white."
    )
    figure.text(0.01, 0.1 / height, textwrap.fill(note, 150), fontsize=7, color=PLAIN, va="bottom")
    _save(figure, path)


def _draw_row(line: Sequence[Axes], exhibit: Exhibit) -> None:
    rates = (
        f"{exhibit.photo.name}\n\nviews that fool:\n{exhibit.view_success:.0%}\n\n"
        f"clean views right:\n{exhibit.clean_views:.0%}"
    )
    line[0].set_ylabel(rates, fontsize=8, color=PLAIN, rotation=0, ha="left", va="center", labelpad=86)
    _panel(line[0], exhibit.photo.image, _caption(exhibit.clean), PLAIN)
    change = (exhibit.image - exhibit.photo.image) / (2 * exhibit.largest or 1) + 0.5
    _panel(line[1], change, f"{exhibit.changed:.0%} of the pixels\nby up to {exhibit.largest:.2g}", PLAIN)
    _panel(line[2], exhibit.image, _caption(exhibit.answer), _color(exhibit, exhibit.answer))
    for axes, view in zip(line[3:], exhibit.views, strict=True):
        _panel(axes, view.image, _caption(view.answer), _color(exhibit, view.answer))


def _panel(axes: Axes, image: Tensor, caption: str, color: str) -> None:
    axes.imshow(image.clamp(0, 1).permute(1, 2, 0).numpy(), vmin=0, vmax=1, interpolation="antialiased")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor(color)
        spine.set_linewidth(2 if color != PLAIN else 0.5)
    axes.set_xlabel(caption, fontsize=8, color=color, labelpad=3)


def _color(exhibit: Exhibit, answer: Answer) -> str:
    return FOOLED if answer.label == exhibit.target else HELD if answer.number == exhibit.clean.number else MISSED


def _caption(answer: Answer) -> str:
    return f"{textwrap.shorten(answer.label, 24, placeholder='…')}\n{answer.confidence:.0%}"


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    picture = Image.open(buffer).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)
