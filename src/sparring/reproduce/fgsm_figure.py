"""The picture of `fgsm_imagenet`: a row a picture and goal; clean, perturbation, and one panel an eps."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from torch import Tensor

from sparring.reproduce.fgsm_imagenet import Answer, Row

FOOLED, MISSED, HELD, PLAIN = "#b3261e", "#8a5a00", "#1b6e3c", "#333333"
MEANING = {
    FOOLED: "fooled",
    MISSED: "another label, but not the target",
    HELD: "label unchanged",
}
PANEL, CAPTION, GAP = 2.0, 0.62, 0.08  # inches: a picture, the text below it, the space beside it
LEFT, TOP, BOTTOM = 0.75, 0.75, 0.55
DPI = 150


def draw(rows: Sequence[Row], path: Path, model: str) -> None:
    """Write the figure of `rows`, which share their eps, as a PNG to `path`; `model` is for its heading."""
    columns = 2 + len(rows[0].shots)
    width = LEFT + columns * (PANEL + GAP)
    height = TOP + len(rows) * (PANEL + CAPTION) + BOTTOM
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    figure.subplots_adjust(
        left=LEFT / width,
        right=1 - GAP / width,
        bottom=(BOTTOM + CAPTION) / height,
        top=1 - TOP / height,
        wspace=GAP / PANEL,
        hspace=CAPTION / PANEL,
    )
    figure.suptitle(
        f"FGSM on {short_model(model)}", x=0.01, y=1 - 0.12 / height, ha="left", va="top", fontsize=13, weight="bold"
    )
    headings = ["clean", "perturbation", *(f"ε = {eps_text(shot.eps)}" for shot in rows[0].shots)]
    for axes, heading in zip(grid[0], headings, strict=True):
        axes.set_title(heading, fontsize=10, color=PLAIN, pad=6)
    for line, row in zip(grid, rows, strict=True):
        _draw_row(line, row)
    figure.legend(
        handles=[Patch(color=color, label=text) for color, text in MEANING.items()],
        loc="lower left",
        bbox_to_anchor=(0.005, 0.22 / height),
        ncols=3,
        fontsize=8,
        frameon=False,
    )
    note = "Below each picture: label and confidence. Perturbation: black is -ε, white +ε, in each colour."
    figure.text(0.01, 0.1 / height, note, fontsize=8, color=PLAIN, va="bottom")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path)


def _draw_row(line: Sequence[Axes], row: Row) -> None:
    line[0].set_ylabel(
        f"{short_picture(row.photo.name)}\n" + "\n".join(textwrap.wrap(row.goal, 22)[:2]), fontsize=9, color=PLAIN
    )
    _panel(line[0], row.photo.image, _caption(row.clean), PLAIN)
    # The smallest eps is clipped by the box least: there the perturbation is plus or minus eps nearly
    # everywhere.
    first = row.shots[0]
    pattern = (first.image - row.photo.image) / (2 * first.eps or 1) + 0.5
    least = "no ε up to 1 reaches it" if row.smallest_eps is None else f"smallest ε: {row.smallest_eps:.2g}"
    _panel(line[1], pattern.clamp(0, 1), least, PLAIN)
    for axes, shot in zip(line[2:], row.shots, strict=True):
        changed = shot.answer.number != row.clean.number
        color = FOOLED if shot.fooled else MISSED if changed else HELD
        _panel(axes, shot.image, _caption(shot.answer), color)


def _panel(axes: Axes, image: Tensor, caption: str, color: str) -> None:
    axes.imshow(image.permute(1, 2, 0).numpy(), vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor(color)
        spine.set_linewidth(2 if color != PLAIN else 0.5)
    axes.set_xlabel(caption, fontsize=9, color=color, labelpad=3)


def _caption(answer: Answer) -> str:
    return f"{textwrap.shorten(answer.label, 26, placeholder='…')}\n{answer.confidence:.1%}"


def short_model(name: str) -> str:
    """A model's name without the folders before it: hf:models/mobilenet_v2 -> mobilenet_v2."""
    return name.rstrip("/").rpartition("/")[2] or name


def short_picture(name: str) -> str:
    """A picture's name without the number that WordNet has for its class: n01440764_tench -> tench."""
    return textwrap.shorten(re.sub(r"^n\d{8}_", "", name).replace("_", " "), 26, placeholder="…")


def eps_text(eps: float) -> str:
    """An eps as people write it: 8/255 where it is such a fraction, else a short decimal."""
    levels = eps * 255
    if Fraction(f"{eps:.4g}").denominator > 1000 and abs(levels - round(levels)) < 1e-6:
        return f"{round(levels)}/255"
    return f"{eps:.4g}"
