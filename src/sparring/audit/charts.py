"""Charts as inline SVG. Colours are CSS variables of the page, so that they follow its light and dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from sparring.audit.curve import Curve
from sparring.audit.intervals import Figure, percent


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
    right: int = 16
    top: int = 14
    bottom: int = 44

    def x(self, value: float) -> float:
        return self.left + (self.width - self.left - self.right) * value / self.top_x

    def y(self, share: float) -> float:
        return self.top + (self.height - self.top - self.bottom) * (1 - share)

    def path(self, points: Sequence[tuple[float, float]]) -> str:
        """The `d` of a line through (value, share) points."""
        return "M" + " L".join(f"{self.x(a):.1f},{self.y(b):.1f}" for a, b in points)


def curve_svg(curve: Curve, eps: float, robust: Figure, chance: float, wide: bool) -> str:
    """The security curve: raw and envelope with its band, and the whole audit's figure at `eps`."""
    regular = [point for point in curve.points if point.eps <= 2 * eps * 1.001]
    frame = Frame(760 if wide else 360, 300 if wide else 260, regular[-1].eps)
    parts = [_axes(frame, [point.eps for point in regular], wide), _chance(frame, chance)]
    upper = [(point.eps, point.envelope.high) for point in regular]
    lower = [(point.eps, point.envelope.low) for point in reversed(regular)]
    parts.append(f'<path class="band" d="{frame.path(upper + lower)} Z"/>')
    parts.append(f'<path class="raw" d="{frame.path([(p.eps, p.raw.value) for p in regular])}"/>')
    parts.append(f'<path class="line" d="{frame.path([(p.eps, p.envelope.value) for p in regular])}"/>')
    for point in regular:
        survive, raw = percent(point.envelope.value), percent(point.raw.value)
        told = f"eps {point.eps:.4g}: {survive} survive, {raw} this attack alone"
        parts.append(
            f'<circle class="dot" cx="{frame.x(point.eps):.1f}" cy="{frame.y(point.envelope.value):.1f}" r="3.5">'
            f"<title>{told}</title></circle>"
        )
    x, y = frame.x(eps), frame.y(robust.value)
    parts.append(f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.top}" y2="{frame.height - frame.bottom}"/>')
    parts.append(
        f'<line class="bar" x1="{x:.1f}" x2="{x:.1f}" y1="{frame.y(robust.low):.1f}" y2="{frame.y(robust.high):.1f}"/>'
    )
    parts.append(
        f'<path class="diamond" d="M{x:.1f},{y - 7:.1f} l7,7 l-7,7 l-7,-7 Z"><title>All attacks at eps {eps:.4g}: '
        f"{robust}</title></path>"
    )
    label = (
        f"Robust accuracy falls from {percent(regular[0].envelope.value)} at eps 0 to "
        f"{percent(regular[-1].envelope.value)} at eps {regular[-1].eps:.4g}; all attacks together leave "
        f"{percent(robust.value)} at eps {eps:.4g}."
    )
    return _svg(frame.width, frame.height, label, "".join(parts), "wide" if wide else "narrow")


def _axes(frame: Frame, ticks: Sequence[float], wide: bool) -> str:
    parts = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = frame.y(share)
        parts.append(
            f'<line class="grid" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    shown = ticks if wide else [tick for k, tick in enumerate(ticks) if k % 2 == 0 or k == len(ticks) - 1]
    base = frame.height - frame.bottom
    for eps in shown:
        parts.append(f'<text class="tick" x="{frame.x(eps):.1f}" y="{base + 17}" text-anchor="middle">{eps:.3g}</text>')
    middle = (frame.left + frame.width - frame.right) / 2
    parts.append(f'<text class="axis" x="{middle:.1f}" y="{frame.height - 6}" text-anchor="middle">eps</text>')
    return "".join(parts)


def _chance(frame: Frame, chance: float) -> str:
    y = frame.y(chance)
    return (
        f'<line class="chance" x1="{frame.left}" x2="{frame.width - frame.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{frame.width - frame.right}" y="{y - 5:.1f}" text-anchor="end">chance</text>'
    )


def interval_svg(figure: Figure) -> str:
    """A track from 0 to 100 % with the share and its interval."""
    low, high, at = (100 * value for value in (figure.low, figure.high, figure.value if figure.of else 0.0))
    body = (
        '<rect class="track" x="0" y="5" width="100%" height="6" rx="3"/>'
        f'<rect class="fill" x="0" y="5" width="{at:.2f}%" height="6" rx="3"/>'
        f'<rect class="interval" x="{low:.2f}%" y="3" width="{high - low:.2f}%" height="10" rx="3"/>'
        f'<rect class="point" x="{at:.2f}%" y="0" width="3" height="16" rx="1.5" transform="translate(-1.5)"/>'
    )
    label = escape(figure.interval)
    return f'<svg class="interval-bar" width="100%" height="16" role="img" aria-label="{label}">{body}</svg>'


def strip_svg(codes: Sequence[int], stages: Sequence[str], wrong: int, standing: int, colours: int) -> str:
    """Every image as a square, coloured by what broke it: `codes` are numbers of `stages`, `wrong` or `standing`."""
    side, gap, columns = 14, 3, 40
    rows = -(-len(codes) // columns)
    squares = []
    for i, code in enumerate(codes):
        x, y = (i % columns) * (side + gap), (i // columns) * (side + gap)
        name = {wrong: "wrong", standing: "standing"}.get(code, f"broke{code % colours}")
        told = {wrong: "wrong before any attack", standing: "stands"}.get(code) or f"broken by {stages[code]}"
        squares.append(
            f'<rect class="{name}" x="{x}" y="{y}" width="{side}" height="{side}" rx="3"><title>image {i}: '
            f"{escape(told)}</title></rect>"
        )
    left = sum(code == standing for code in codes)
    label = f"{len(codes)} images as squares, {left} of them unbroken"
    return _svg(columns * (side + gap) - gap, rows * (side + gap) - gap, label, "".join(squares), "strip")


def _svg(width: float, height: float, label: str, body: str, kind: str) -> str:
    label = escape(label)
    return f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{body}</svg>'
