"""A figure of clean | perturbation | adversarial, one line a sample, with what the model says about each.

Drawn on a figure of its own: pyplot, its settings and its list of open figures are not touched.
"""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from torch import Tensor

from sparring.errors import InputError
from sparring.storage import replacing
from sparring.threat import Box

if TYPE_CHECKING:  # matplotlib takes a second to import, and not everybody who writes results draws
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Outcome = Literal["fooled", "moved", "held"]
COLORS = {"fooled": "#b3261e", "moved": "#8a5a00", "held": "#1b6e3c"}
MEANING = {"fooled": "fooled", "moved": "another class, but not the target", "held": "not fooled"}
PLAIN = "#333333"
SIDE, GAP, CAPTION = 1.55, 0.08, 0.48  # inches: a picture's longer side, the space beside it, the text below it
HEADING, TOP, BOTTOM = 1.05, 0.48, 0.5  # inches: the text left of a line, above all (less the title) and below all
TITLE = 0.19  # inches: a line of the title
DPI = 150
LIMIT = 60
"samples in one figure"


@dataclass(frozen=True)
class Panel:
    """One sample: images [1 or 3, H, W] and the texts beside and below them, lines divided by a line break."""

    clean: Tensor
    adversarial: Tensor
    heading: str
    before: str
    change: str
    after: str
    outcome: Outcome


def picture_grid(panels: Sequence[Panel], path: Path, *, title: str, box: Box = (0.0, 1.0)) -> None:
    """Write the figure of `panels`, which share one shape, as a PNG to `path`; two samples a line if they are many.

    The perturbation is amplified so that its largest change spans the scale; how much is written below it.

    Raises:
        InputError: no panels, more than 60, or images that are neither grey nor colour. OutputPathError: see there.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if not 0 < len(panels) <= LIMIT:
        raise InputError(f"a figure shows 1 to {LIMIT} samples; got {len(panels)}")
    shape = tuple(panels[0].clean.shape)
    if (
        len(shape) != 3
        or shape[0] not in (1, 3)
        or any(tuple(i.shape) != shape for p in panels for i in (p.clean, p.adversarial))
    ):
        raise InputError(f"a figure needs images of one shape [1 or 3, H, W]; got {shape}")
    blocks = 1 if len(panels) <= 4 else 2
    lines = -(-len(panels) // blocks)
    wide, high = (SIDE * side / max(shape[1:]) for side in (shape[2], shape[1]))
    wide, high = max(wide, 0.6 * SIDE), max(high, 0.3 * SIDE)
    width = blocks * (HEADING + 3 * (wide + GAP)) + GAP
    heading = _wrapped(title, int(width * 9.5), 3)
    top = TOP + TITLE * len(heading.split("\n"))
    height = top + lines * (high + CAPTION) + BOTTOM
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    for number, panel in enumerate(panels):
        left = (number % blocks) * (HEADING + 3 * (wide + GAP))
        low = height - top - (number // blocks) * (high + CAPTION) - high
        axes = [
            figure.add_axes((at / width, low / height, wide / width, high / height))
            for at in (left + HEADING + column * (wide + GAP) for column in range(3))
        ]
        _draw(panel, axes, box)
        place = ((left + HEADING - 0.08) / width, (low + high / 2) / height)
        figure.text(
            *place, _lines(panel.heading, 14, 2), fontsize=8.5, color=PLAIN, ha="right", va="center", parse_math=False
        )
        if number < blocks:
            for ax, name in zip(axes, ("clean", "perturbation", "adversarial"), strict=True):
                ax.set_title(name, fontsize=10, color=PLAIN, pad=5)
    _frame(figure, heading, width, height, panels)
    # A class name in a script that the font lacks is drawn as boxes, which is no reason to warn on stderr.
    with replacing(path) as waiting, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(waiting, format="png")


def _draw(panel: Panel, axes: Sequence[Axes], box: Box) -> None:
    clean, adversarial = panel.clean.detach().float().cpu(), panel.adversarial.detach().float().cpu()
    change = adversarial - clean
    peak = float(change.abs().max())
    color = COLORS[panel.outcome]
    low, high = box
    _show(axes[0], (clean - low) / (high - low), panel.before, PLAIN)
    _show(axes[2], (adversarial - low) / (high - low), panel.after, color)
    shown = 0.5 + change / (2 * peak) if peak > 0 else change + 0.5
    scale = f"scale ± {peak:.3g}" if len(clean) == 1 else f"shown × {(high - low) / (2 * peak or 1):.3g}"
    _show(axes[1], shown, f"{panel.change}\n{scale}" if peak > 0 else "no change", PLAIN, colors="RdBu_r")


def _show(axes: Axes, image: Tensor, caption: str, color: str, colors: str = "gray") -> None:
    pixels = image.clamp(0, 1).permute(1, 2, 0).numpy()
    axes.imshow(pixels, cmap=colors if pixels.shape[2] == 1 else None, vmin=0, vmax=1, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_edgecolor(color)
        spine.set_linewidth(0.6 if color == PLAIN else 2)
    axes.set_xlabel(_lines(caption, 23, 1), fontsize=9, color=color, labelpad=4, parse_math=False)


def _frame(figure: Figure, title: str, width: float, height: float, panels: Sequence[Panel]) -> None:
    """Title above, legend and note below."""
    from matplotlib.patches import Patch

    left = 0.1 / width
    figure.text(left, 1 - 0.1 / height, title, fontsize=11, weight="bold", color=PLAIN, va="top", parse_math=False)
    shown = [outcome for outcome in COLORS if any(panel.outcome == outcome for panel in panels)]
    figure.legend(
        handles=[Patch(color=COLORS[outcome], label=MEANING[outcome]) for outcome in shown],
        loc="lower left",
        bbox_to_anchor=(0.02 / width, 0.2 / height),
        ncols=3,
        fontsize=8,
        frameon=False,
        borderpad=0.3,
    )
    grey = panels[0].clean.shape[0] == 1
    scale = "white = no change, red = brighter, blue = darker" if grey else "mid-grey = no change"
    figure.text(left, 0.08 / height, f"Perturbation: {scale}; amplified as stated below it.", fontsize=8, color=PLAIN)


def _lines(text: str, columns: int, most: int) -> str:
    """Each line of `text` in at most `most` lines."""
    return "\n".join(_wrapped(line, columns, most) for line in text.split("\n"))


def _wrapped(text: str, columns: int, most: int) -> str:
    """A line of any text as printable lines of at most so many columns; the rest becomes an ellipsis."""
    printable = "".join(c if c.isprintable() else " " for c in text)
    return "\n".join(textwrap.wrap(printable, columns, max_lines=most, placeholder="…"))
