"""The findings about poisoned data as one HTML page: no script, no network, pictures and plots inside."""

from __future__ import annotations

from html import escape

import torch

from sparring.audit.report.html.charts import Line, even_ticks, lines_svg
from sparring.audit.report.thumbnails import data_uri
from sparring.defenses.detect.roc import Roc
from sparring.poisoning.base import Poisoned
from sparring.reproduce.poisoning import Findings
from sparring.reproduce.poisoning_experiment import NONE
from sparring.reproduce.poisoning_tables import Table, tables

COLOURS = ("#1f5fd1", "#c23030", "#00998c", "#8f398f", "#d9822b", "#66961d", "#b08900", "#d13979", "#5b6b7d")
SHOWN = 8
"samples of each poison"

STYLE = """
:root { --paper: #f6f7f9; --card: #fff; --ink: #17202b; --soft: #566273; --line: #dfe4ea; color-scheme: light dark; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #10151c; --card: #19212b; --ink: #e8edf3; --soft: #9fabb9; --line: #2c3744; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 18px 22px; }
section { margin: 20px 0; }
h1 { font-size: 1.7rem; } h2 { font-size: 1.2rem; margin: 0 0 8px; } p { color: var(--soft); max-width: 80ch; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .86rem; }
th, td { text-align: right; padding: 5px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 18px; }
.two > * { max-width: 520px; } .chart { display: block; width: 100%; height: auto; }
.chart text { font: 12px system-ui, sans-serif; fill: var(--soft); }
.chart .grid { stroke: var(--line); } .chart path { fill: none; stroke-width: 2; stroke: var(--c); }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; padding: 0; font-size: .86rem; }
.key i { display: inline-block; width: 14px; height: 3px; margin-right: 6px; vertical-align: middle; }
.key i { background: var(--c); }
.shots { display: flex; flex-wrap: wrap; gap: 12px; } figure { margin: 0; font-size: .8rem; color: var(--soft); }
figure img { width: 68px; height: 68px; image-rendering: pixelated; border: 1px solid var(--line); }
"""


def page(found: Findings) -> str:
    """The page as text."""
    colours = "".join(f".c{k} {{ --c: {colour}; }}\n" for k, colour in enumerate(COLOURS))
    parts = [_samples(found), _curves(found), _rocs(found), *(_table(*one) for one in tables(found))]
    settings = escape(", ".join(f"{key}={value}" for key, value in vars(found.settings).items()))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Poisoned training data</title>'
        f"<style>{STYLE}{colours}</style></head><body><main><h1>Poisoned training data</h1>"
        f"<p>{_means(found)}The adversary knows: {escape(found.settings.knows)}.</p>"
        f"{''.join(parts)}<section><h2>Settings</h2><p>{settings}</p></section></main></body></html>\n"
    )


def _means(found: Findings) -> str:
    """What the figures over seeds are, where there are any."""
    if not (found.flips or found.backdoors):
        return ""
    return (
        f"Figures about label flips and backdoors are means over {len(found.settings.seeds)} seeds, each with its own "
        "poison and its own victim; intervals are 95 %, for the test images of one seed. The control is the same "
        "learner with the same seed and defense on clean data. "
    )


def _samples(found: Findings) -> str:
    """Poisoned samples beside the clean ones, of every poison once."""
    sets: dict[str, Poisoned] = {}
    lines = [one for line in found.flips.values() for one in line[-1:]]
    for one in [*lines, *found.backdoors]:
        if one.poisoned is not None and len(one.poisoned.changed):
            sets.setdefault(one.poison or "", one.poisoned)
    for aim in found.aimed:
        sets.setdefault(f"{aim.setting}: {aim.spec}", aim.first)
    if not sets:
        return ""
    blocks = [
        f"<h3>{escape(name)}</h3>{_target(poisoned)}<div class=shots>{_shots(poisoned)}</div>"
        for name, poisoned in sets.items()
    ]
    return (
        f"<section><h2>Poisoned samples</h2><p>Clean on the left, poisoned on the right.</p>{''.join(blocks)}</section>"
    )


def _shots(poisoned: Poisoned) -> str:
    figures = []
    for number in poisoned.changed[:SHOWN].tolist():
        (old, before), (new, after) = poisoned.clean[number], poisoned.data[number]
        names = poisoned.clean.classes
        said = escape(names[before]) if before == after else f"{escape(names[before])} → {escape(names[after])}"
        images = "".join(f'<img alt="{kind}" src="{data_uri(x)}">' for kind, x in (("clean", old), ("poisoned", new)))
        figures.append(f"<figure>{images}<figcaption>no. {number}: {said}</figcaption></figure>")
    return "".join(figures)


def _target(poisoned: Poisoned) -> str:
    target = poisoned.change.target
    if target is None:
        return ""
    names = poisoned.clean.classes
    said = f"target: {escape(names[target.true])}, wanted {escape(names[target.label])}"
    return f'<figure><img alt="target" src="{data_uri(target.x)}"><figcaption>{said}</figcaption></figure>'


def _curves(found: Findings) -> str:
    """One chart for each victim and choice: accuracy over the share of flipped labels, a line for each defense."""
    charts = []
    shares, top = found.settings.shares, max(found.settings.shares)
    defenses = list(dict.fromkeys(key[2] for key in found.flips))  # each has one colour in all charts
    for victim, choose in dict.fromkeys((key[0], key[1]) for key in found.flips):
        lines = {key[2]: line for key, line in found.flips.items() if key[:2] == (victim, choose)}
        drawn = [
            Line(
                defense,
                _colour(defenses.index(defense)),
                [(share, one.accuracy.value) for share, one in zip(shares, line, strict=True)],
            )
            for defense, line in lines.items()
        ]
        label = f"Clean accuracy of {victim} as {choose} flips grow from 0 to {top:.0%}"
        svg = lines_svg(drawn, even_ticks(top, 5), "share of flipped labels", label, False)
        title = f"<h3>{escape(victim)}, {choose} flips</h3>"
        charts.append(f"<div>{title}{svg}{_key(drawn)}</div>")
    if not charts:
        return ""
    return f"<section><h2>Label flips</h2><div class=two>{''.join(charts)}</div></section>"


def _rocs(found: Findings) -> str:
    """The ROC of the detectors of nets, of STRIP, and of the sanitizers on each backdoor."""
    groups: dict[str, dict[str, Roc]] = {}
    if found.detectors:
        groups["Backdoored nets against clean ones"] = {one.detector: one.roc for one in found.detectors}
    if found.strip:
        groups["STRIP: triggered images against clean ones"] = dict(found.strip)
    for one in found.backdoors:
        if one.sanitized is not None and one.poisoned is not None and one.defense != NONE:
            mask = one.poisoned.mask
            scores = one.sanitized.scores
            where = groups.setdefault(f"Sanitizers on {one.poison}", {})
            where[one.defense] = Roc(scores[~mask].double().sort().values, scores[mask].double().sort().values)
    blocks = []
    for title, rocs in groups.items():
        lines = [
            Line(f"{name}: {one.area:.3f}", _colour(k), roc_points(one)) for k, (name, one) in enumerate(rocs.items())
        ]
        svg = lines_svg(lines, even_ticks(1.0, 5), "false alarms", f"{title}: detections over false alarms", False)
        blocks.append(f"<div><h3>{escape(title)}</h3>{svg}{_key(lines)}</div>")
    return f"<section><h2>Detectors: ROC</h2><div class=two>{''.join(blocks)}</div></section>" if blocks else ""


def roc_points(one: Roc, most: int = 200) -> list[tuple[float, float]]:
    """(false alarms, detections) at every threshold, from (0, 0) to (1, 1), at most so many."""
    bounds = torch.tensor(sorted({*one.clean.tolist(), *one.attacked.tolist()}, reverse=True), dtype=torch.float64)
    if len(bounds) > most:
        bounds = bounds[torch.linspace(0, len(bounds) - 1, most).long()]
    points = [
        (float((one.clean >= bound).double().mean()), float((one.attacked >= bound).double().mean()))
        for bound in bounds
    ]
    return [(0.0, 0.0), *points, (1.0, 1.0)]


def _colour(number: int) -> str:
    """The style of a line."""
    return f"c{number % len(COLOURS)}"


def _key(lines: list[Line]) -> str:
    items = "".join(f'<li class="{line.style}"><i></i>{escape(line.name)}</li>' for line in lines)
    return f"<ul class=key>{items}</ul>"


def _table(title: str, table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table[0])
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table[1:])
    return f"<section><h2>{escape(title)}</h2><div class=scroll><table><tr>{head}</tr>{rows}</table></div></section>"
