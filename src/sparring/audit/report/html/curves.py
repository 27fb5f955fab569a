"""The figures: security curves, success against passes, distances."""

from __future__ import annotations

import math
from typing import Any

from sparring.audit.report import breakdown
from sparring.audit.report import document as doc
from sparring.audit.report.document import Document
from sparring.audit.report.html.attacks import COLOURS
from sparring.audit.report.html.charts import Line, Mark, curve_svg, even_ticks, lines_svg, steps
from sparring.audit.statistics.proportion import percent

RIM = 0.99
"of eps: attacks that fill the radius find their successes out there"

FINE = 200
"points of a distribution"


def curves(document: Document) -> list[str]:
    if document["curve"] is None:
        return []
    chance = 1 / int(document["data"]["classes"])
    eps, robust = doc.eps(document), doc.robust(document)
    return [curve_svg(document["curve"], eps, robust, chance, wide) for wide in (True, False)]


def all_curves(document: Document) -> dict[str, Any] | None:
    """Every attack's own security curve, in one figure."""
    found = document["security_curves"]
    if found is None:
        return None
    grid, n = found["eps"], found["n"]
    code = {one["attack"]: k % COLOURS for k, one in enumerate(document["attacks"])}
    lines = [
        Line(f"{one['attack']} alone", f"thin stroke{code[one['attack']]}", _over(grid, one["standing"], n))
        for one in found["attacks"]
        if not one["fills"]
    ]
    marks = [
        Mark(
            f"{one['attack']} alone: {percent(one['standing'][-1] / n)}",
            grid[-1],
            one["standing"][-1] / n,
            f"broke{code[one['attack']]}",
        )
        for one in found["attacks"]
        if one["fills"]
    ]
    lines.append(Line("all attacks together", "line", _over(grid, found["all"], n)))
    label = f"Share of {n} images that survive as eps grows, for each of {len(lines) - 1} attacks and for all together"
    both = [lines_svg(lines, even_ticks(grid[-1]), "eps", label, wide, marks) for wide in (True, False)]
    legend = [(f"broke{code[one['attack']]}", one["attack"], one["standing"][-1] / n) for one in found["attacks"]]
    return {"svgs": both, "legend": legend, "n": n, "all": found["all"][-1] / n}


def _over(grid: list[float], left: list[int], n: int) -> list[tuple[float, float]]:
    return [(eps, count / n) for eps, count in zip(grid, left, strict=True)]


def spent(document: Document) -> list[str]:
    """What the attacks left, against the passes spent until then, on a logarithmic axis."""
    n, total = document["n"], 0
    points = [(0.0, document["initially_correct"] / n)]
    marks = []
    for one in document["attacks"]:
        total += one["queries"] + one["gradients"]
        points.append((math.log10(max(1.0, total / n)), one["standing_after"] / n))
        title = f"{one['attack']}: {percent(points[-1][1])} left after {total / n:.0f} passes per image"
        marks.append(Mark(title, *points[-1]))
    top = max(1, math.ceil(points[-1][0]))
    ticks = [(float(k), f"{10**k:,}") for k in range(top + 1)]
    line = Line("still right", "line", steps(points))
    label = (
        f"Robust accuracy falls from {percent(points[0][1])} to {percent(points[-1][1])} in {total:,} passes, "
        f"{total / n:.0f} per image"
    )
    title = "forward and backward passes per image, so far"
    return [lines_svg([line], ticks, title, label, wide, marks) for wide in (True, False)]


def over_queries(document: Document) -> dict[str, Any] | None:
    """Every attack's success, and its median headway, against forward passes on a logarithmic axis, in two figures."""
    found = document.get("over_queries")
    if found is None:
        return None
    n, at = found["n"], [math.log10(q) for q in found["queries"]]
    code = {one["attack"]: k % COLOURS for k, one in enumerate(document["attacks"])}
    hits, margins, ends = [], [], [0.0]
    for one in found["attacks"]:
        stroke = f"thin stroke{code[one['attack']]}"
        end = math.log10(max(1, one["most"]))
        ends.append(end)
        points = steps([(at[k], one["broken"][k] / n) for k in range(len(at))])
        hits.append(Line(f"{one['attack']}: {one['broken'][-1]} of {n}", stroke, _until(points, end)))
        known = [(at[k], share) for k, share in enumerate(one["headway"] or ()) if share is not None]
        if known:
            margins.append(Line(f"{one['attack']}: {percent(known[-1][1])} of the margin", stroke, _until(known, end)))
    top = max(1, math.ceil(max(ends)))
    ticks = [(float(k), f"{10**k:,}") for k in range(top + 1)]
    legend = [(f"broke{code[one['attack']]}", one["attack"]) for one in found["attacks"]]
    label = f"Share of {n} images that each of {len(hits)} attacks has broken after so many forward passes"
    svgs = _both(hits, ticks, label)
    label = f"Median share of the clean margin removed by each of {len(margins)} attacks after so many forward passes"
    return {
        "n": n,
        "hits": svgs,
        "traces": _both(margins, ticks, label) if margins else [],
        "legend": legend,
    }


def _until(points: list[tuple[float, float]], end: float) -> list[tuple[float, float]]:
    """As far as the search went."""
    return [*(point for point in points if point[0] < end), (end, points[-1][1])]


def _both(lines: list[Line], ticks: list[tuple[float, str]], label: str) -> list[str]:
    return [lines_svg(lines, ticks, "forward passes of an image", label, wide) for wide in (True, False)]


def distances(document: Document) -> dict[str, Any] | None:
    """How many of the images that were right are broken within each distance.

    Of all images, if the attacks looked for small perturbations; else of those of the security curve, which were
    attacked at several radii.
    """
    eps, curve = doc.eps(document), document["curve"]
    found, right = breakdown.distances(document["samples"]), document["initially_correct"]
    of_curve = curve is not None and (not found or found[len(found) // 2] > RIM * eps)
    if of_curve:
        right = curve["points"][0]["raw"]["hits"]
        found = sorted(value for value in curve["nearest"] if value is not None and 0 < value <= 2 * eps * 1.001)
    if not found:
        return None
    top = max(eps, found[-1])
    points, done = [(0.0, 0.0)], 0
    for k in range(1, FINE + 1):
        at = top * k / FINE
        while done < len(found) and found[done] <= at * (1 + 1e-5):
            done += 1
        points.append((at, done / right))
    label = f"Share of {right} images broken within a distance; {percent(points[-1][1])} within {top:.4g}"
    line = Line("broken within this distance", "line", points)
    title = f"smallest {document['threat']['norm']} distance that any attack found"
    svgs = [lines_svg([line], even_ticks(top), title, label, wide) for wide in (True, False)]
    figures = {"quantiles": breakdown.quantiles(found), "n": len(found), "right": right, "of_curve": of_curve}
    return {"svgs": svgs, **figures}
