"""Charts as inline SVG. Colours are CSS variables of the page, so that they follow its light and dark theme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from sparring.audit.report.document import figure
from sparring.audit.statistics.proportion import Figure, percent
from sparring.threat import eps_text


@dataclass(frozen=True)
class Frame:
    """A plot area inside a picture of `width` x `height`, with linear scales.

    Attributes:
        top_x: the largest value on the x axis. left, right, top, bottom: margins.
    """

    width: int
    height: int
    top_x: float
    left: int = 46
    right: int = 24
    top: int = 14
    bottom: int = 44

    def x(self, value: float) -> float:
        return self.left + (self.width - self.left - self.right) * value / self.top_x

    def y(self, share: float) -> float:
        return self.top + (self.height - self.top - self.bottom) * (1 - share)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """The `d` of a line through (value, share) points."""
        return "M" + " L".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)


@dataclass(frozen=True)
class Line:
    """A line of a chart: (value, share) points in the CSS class `style`; `name` shows when it is pointed at."""

    name: str
    style: str
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Mark:
    """A dot at (value, share) that says `name` when it is pointed at, in the CSS class `style` if one is given."""

    name: str
    x: float
    y: float
    style: str = ""


Ticks = Sequence[tuple[float, str]]


def curve_svg(curve: Mapping[str, Any], eps: float, robust: Figure, chance: float, wide: bool) -> str:
    """The security curve: raw and envelope with its band, and the whole audit's figure at `eps`."""
    points = [(one["eps"], figure(one["raw"]), figure(one["envelope"])) for one in curve["points"]]
    regular = [point for point in points if point[0] <= 2 * eps * 1.001]
    frame = _frame(regular[-1][0], wide)
    ticks = [(at, f"{at:.3g}") for at, _, _ in regular]
    parts = [_axes(frame, ticks if wide else _thinned(ticks), "eps"), _chance(frame, chance)]
    upper = [(at, envelope.high) for at, _, envelope in regular]
    lower = [(at, envelope.low) for at, _, envelope in reversed(regular)]
    parts.append(f'<path class="band" d="{frame.path(upper + lower)} Z"/>')
    parts.append(f'<path class="raw" d="{frame.path([(at, raw.value) for at, raw, _ in regular])}"/>')
    parts.append(f'<path class="line" d="{frame.path([(at, envelope.value) for at, _, envelope in regular])}"/>')
    for at, raw, envelope in regular:
        title = f"eps {eps_text(at)}: {percent(envelope.value)} survive, {percent(raw.value)} this attack alone"
        parts.append(_dot(frame, Mark(title, at, envelope.value)))
    proved = [(one["eps"], figure(one["certified"]).value) for one in curve["points"] if "certified" in one]
    if proved:
        parts.append(f'<path class="proved" d="{frame.path(downstairs(proved[: len(regular)]))}"/>')
    x, y = frame.x(eps), frame.y(robust.value)
    parts.append(_mark(frame, eps))
    parts.append(
        f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(robust.low):.1f}" y2="{frame.y(robust.high):.1f}"/>'
    )
    parts.append(
        f'<path class="diamond" d="M{x:.1f},{y - 7:.1f} l7,7 l-7,7 l-7,-7 Z"><title>All attacks at '
        f"eps {eps_text(eps)}: {robust}</title></path>"
    )
    label = (
        f"Robust accuracy falls from {percent(regular[0][2].value)} at eps 0 to "
        f"{percent(regular[-1][2].value)} at eps {eps_text(regular[-1][0])}; all attacks together leave "
        f"{percent(robust.value)} at eps {eps_text(eps)}."
    )
    return _svg(frame.width, frame.height, label, "".join(parts), "wide" if wide else "narrow")


def downstairs(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same points as stairs whose share holds back to the value before: what is proved at a radius is proved below.

    >>> downstairs([(0, 1.0), (1, 0.5)])
    [(0, 1.0), (0, 0.5), (1, 0.5)]
    """
    stairs = list(points[:1])
    for (before, _), (x, y) in pairwise(points):
        stairs += [(before, y), (x, y)]
    return stairs


def lines_svg(
    lines: Sequence[Line],
    ticks: Ticks,
    title: str,
    label: str,
    wide: bool,
    marks: Sequence[Mark] = (),
) -> str:
    """Shares over some value, several lines in one frame.

    Args:
        title: of the x axis. label: for those who hear the page. marks: dots.
    """
    frame = _frame(max(ticks[-1][0], *(line.points[-1][0] for line in lines)), wide)
    parts = [_axes(frame, ticks if wide else _thinned(ticks), title)]
    for line in lines:
        name = escape(line.name)
        parts.append(f'<path class="{line.style}" d="{frame.path(line.points)}"><title>{name}</title></path>')
    parts += [_dot(frame, mark) for mark in marks]
    return _svg(frame.width, frame.height, label, "".join(parts), "wide" if wide else "narrow")


def steps(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The same points as stairs: the share holds until the next value.

    >>> steps([(0, 0.0), (1, 0.5)])
    [(0, 0.0), (1, 0.0), (1, 0.5)]
    """
    stairs = list(points[:1])
    for x, y in points[1:]:
        stairs += [(x, stairs[-1][1]), (x, y)]
    return stairs


def even_ticks(top: float, count: int = 6) -> list[tuple[float, str]]:
    """From 0 to `top` in equal parts.

    >>> even_ticks(0.3, 3)
    [(0.0, '0'), (0.15, '0.15'), (0.3, '0.3')]
    """
    values = [top * k / (count - 1) for k in range(count)]
    return [(value, f"{value:.3g}") for value in values]


def _frame(top_x: float, wide: bool) -> Frame:
    return Frame(760 if wide else 360, 300 if wide else 260, top_x)


def _thinned(ticks: Ticks) -> Ticks:
    """Every other tick and the last: for a narrow frame."""
    return [tick for k, tick in enumerate(ticks) if k % 2 == 0 or k == len(ticks) - 1]


def _dot(frame: Frame, mark: Mark) -> str:
    at = f'cx="{frame.x(mark.x):.1f}" cy="{frame.y(mark.y):.1f}"'
    return f'<circle class="{mark.style or "dot"}" {at} r="3.5"><title>{escape(mark.name)}</title></circle>'


def _mark(frame: Frame, value: float) -> str:
    x = frame.x(value)
    return f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.height - frame.bottom}"/>'


def _axes(frame: Frame, ticks: Ticks, title: str) -> str:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = frame.y(share)
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    base = frame.height - frame.bottom
    for value, text in ticks:
        parts.append(f'<text class="tick" x="{frame.x(value):.1f}" y="{base + 17}" text-anchor="middle">{text}</text>')
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(
        f'<text class="axis" x="{middle:.1f}" y="{frame.height - 6}" text-anchor="middle">{escape(title)}</text>'
    )
    return "".join(parts)


def _chance(frame: Frame, chance: float) -> str:
    y = frame.y(chance)
    return (
        f'<line class="chance" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{frame.width - frame.right}" y="{y - 5:.1f}" text-anchor="end">chance</text>'
    )


def interval_svg(seen: Figure) -> str:
    """A track from 0 to 100 % with the share and its interval."""
    return _track(seen.value if seen.of else 0.0, seen.low, seen.high, seen.interval)


def limit_svg(share: float, low: float, high: float, least: float) -> str:
    """The same with a limit that is to be reached."""
    label = f"{percent(share)}, interval {low * 100:.1f} to {high * 100:.1f} %, required {percent(least)}"
    mark = f'<rect class="limit" x="{100 * least:.2f}%" y="0" width="2" height="16" transform="translate(-1)"/>'
    return _track(share, low, high, label, mark)


def _track(share: float, low: float, high: float, label: str, more: str = "") -> str:
    body = (
        '<rect class="track" x="0" y="5" width="100%" height="6" rx="3"/>'
        f'<rect class="fill" x="0" y="5" width="{100 * share:.2f}%" height="6" rx="3"/>'
        f'<rect class="interval" x="{100 * low:.2f}%" y="3" width="{100 * (high - low):.2f}%" height="10" rx="3"/>'
        f'<rect class="point" x="{100 * share:.2f}%" y="0" width="3" height="16" rx="1.5" transform="translate(-1.5)"/>'
    )
    label = escape(label)
    return f'<svg class="interval-bar" width="100%" height="16" role="img" aria-label="{label}">{body}{more}</svg>'


def strip_svg(codes: Sequence[int], stages: Sequence[str], wrong: int, standing: int, colours: int) -> str:
    """Every image as a square, coloured by what broke it: `codes` are numbers of `stages`, `wrong` or `standing`."""
    side, gap, columns = 14, 3, 40
    rows = -(-len(codes) // columns)
    squares = []
    for i, code in enumerate(codes):
        x, y = (i % columns) * (side + gap), (i // columns) * (side + gap)
        name = {wrong: "wrong", standing: "standing"}.get(code, f"broke{code % colours}")
        title = {wrong: "wrong before any attack", standing: "unbroken"}.get(code) or f"broken by {stages[code]}"
        squares.append(
            f'<rect class="{name}" x="{x}" y="{y}" width="{side}" height="{side}" rx="3"><title>image {i}: '
            f"{escape(title)}</title></rect>"
        )
    left = sum(code == standing for code in codes)
    label = f"{len(codes)} images as squares, {left} of them unbroken"
    return _svg(columns * (side + gap) - gap, rows * (side + gap) - gap, label, "".join(squares), "strip")


def _svg(width: float, height: float, label: str, body: str, kind: str) -> str:
    label = escape(label)
    return f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{body}</svg>'
