"""The report as one HTML page: no script, no network, pictures and plots inside. Made from its plain values alone."""

from __future__ import annotations

import math
from collections import Counter
from importlib.resources import files
from typing import Any

from sparring.audit import breakdown
from sparring.audit import document as doc
from sparring.audit.cascade import STANDING, WRONG
from sparring.audit.charts import (
    Line,
    Mark,
    curve_svg,
    even_ticks,
    interval_svg,
    limit_svg,
    lines_svg,
    steps,
    strip_svg,
)
from sparring.audit.document import Document, figure
from sparring.audit.intervals import percent

STRIP = 2000
"more images than this are not drawn one by one"

COLOURS = 12
"stages that can be told apart in the strip of images and in the security curves"

CLASSES = 20
"more classes than this are not all shown: those of which least survives are"

PAIRS = 12
"confusions listed where there are too many classes for a table of all"

CELLS = 12
"classes that the table of all confusions has room for"

RIM = 0.99
"of eps: attacks that fill the radius find their successes out there"

FINE = 200
"points of a distribution"

TONES = {
    "claim-holds": ("good", "Claim holds at this budget"),
    "overestimated": ("bad", "Overestimated"),
    "gradient-masking": ("bad", "Gradient masking"),
    "inconclusive": ("warn", "Inconclusive"),
    "no-claim": ("plain", "Upper bound"),
}

STATES = {"met": "good", "failed": "bad", "not settled": "warn"}


def render(document: Document) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=_percent, svg=Markup, number=lambda value: f"{value:,}", tight=tight)
    source = files("sparring.audit").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(**context(document))


def tight(text: str) -> str:
    """No line break between a number and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def context(document: Document) -> dict[str, Any]:
    """What the template shows."""
    tone, label = TONES[document["status"]]
    return {
        "report": document,
        "threat": doc.threat(document),
        "robust": doc.robust(document),
        "tone": tone,
        "label": label,
        "cards": _cards(document),
        "requirements": _requirements(document),
        "claims": _claims(document),
        "doubts": _doubts(document),
        "stages": _stages(document),
        "matrix": _matrix(document),
        "strip": _strip(document),
        "curves": _curves(document),
        "all_curves": _all_curves(document),
        "spent": _spent(document),
        "distances": _distances(document),
        "classes": _classes(document),
        "confusion": _confusion(document),
        "survival": [
            {"name": one["treatment"], "fooled": figure(one["fooled"]), "right": figure(one["clean_right"])}
            for one in document["survival"]
        ],
        "gallery": _gallery(document),
        "taxonomy": [block for block in document["taxonomy"].values() if isinstance(block, dict)],
        "eps": f"{doc.eps(document):.4g}",
        "interval": interval_svg,
    }


def _percent(share: float | None) -> str:
    return percent(math.nan if share is None else share)


# --- the top ------------------------------------------------------------------------------------------------------


def _cards(document: Document) -> list[dict[str, Any]]:
    cards = [
        ("Clean accuracy", doc.clean(document), "of all images, before any attack", "plain"),
        (
            "Robust accuracy",
            doc.robust(document),
            f"of all images, worst case over {len(document['attacks'])} attacks, image by image",
            "main",
        ),
        ("Attack success rate", doc.success(document), "of the images that were right before", "plain"),
    ]
    strongest = document["strongest_attack_alone"]
    if strongest is not None:
        about = "survive the strongest single attack, of the sanity subset"
        cards.append((f"{strongest['attack']} alone", figure(strongest), about, "plain"))
    return [{"title": title, "figure": seen, "of": of, "tone": tone} for title, seen, of, tone in cards]


def _requirements(document: Document) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "tone": STATES[one["status"]],
            "svg": limit_svg(one["value"], one["low"], one["high"], one["least"]),
        }
        for one in document["requirements"]
    ]


def _claims(document: Document) -> list[dict[str, Any]]:
    return [
        {
            **one,
            "title": "Clean accuracy" if one["eps"] == 0 else f"{one['title'] or 'Any attack'} at eps {one['eps']:.4g}",
            "clean": one["eps"] == 0,
            "truth": figure(one["truth"]),
        }
        for one in document["claims"]
    ]


def _doubts(document: Document) -> list[tuple[dict[str, Any], list[str]]]:
    """Each kind of doubt once, with all its messages."""
    kinds = {one["code"]: one for one in reversed(document["doubts"])}
    codes = dict.fromkeys(one["code"] for one in document["doubts"])
    return [(kinds[code], [one["message"] for one in document["doubts"] if one["code"] == code]) for code in codes]


# --- attacks ------------------------------------------------------------------------------------------------------


def _stages(document: Document) -> list[dict[str, Any]]:
    return [
        {
            "title": one["attack"],
            "spec": one["spec"],
            "tried": one["tried"],
            "broke": one["broke"],
            "left": one["standing_after"] / document["n"],
            "alone": None if one["alone"] is None else figure(one["alone"]),
            "passes": one["queries"] + one["gradients"],
            "seconds": one["seconds"],
            "code": k % COLOURS,
        }
        for k, one in enumerate(document["attacks"])
    ]


def _matrix(document: Document) -> dict[str, Any] | None:
    table = document["broken_by_row_not_by_column"]
    names = list(table)
    if len(names) < 2:
        return None
    most = max(max(row.values()) for row in table.values()) or 1
    rows = [
        {
            "name": a,
            "cells": [
                {
                    "count": table[a][b],
                    "same": a == b,
                    "heat": round(100 * table[a][b] / most),
                    "told": f"{a} breaks {table[a][b]} images that {b} does not",
                }
                for b in names
            ],
        }
        for a in names
    ]
    return {"names": names, "rows": rows}


def _strip(document: Document) -> dict[str, Any] | None:
    if document["n"] > STRIP:
        return None
    titles = [one["attack"] for one in document["attacks"]]
    codes = [
        titles.index(row["broken_by"]) if row["broken_by"] else {"wrong": WRONG}.get(row["status"], STANDING)
        for row in document["samples"]
    ]
    counts = Counter(codes)
    legend = [(f"broke{k % COLOURS}", title, counts[k]) for k, title in enumerate(titles) if counts[k]]
    legend += [("standing", "stands", counts[STANDING])] if counts[STANDING] else []
    legend += [("wrong", "wrong before any attack", counts[WRONG])] if counts[WRONG] else []
    return {"svg": strip_svg(codes, titles, WRONG, STANDING, COLOURS), "legend": legend}


# --- curves -------------------------------------------------------------------------------------------------------


def _curves(document: Document) -> list[str]:
    if document["curve"] is None:
        return []
    chance = 1 / int(document["data"]["classes"])
    eps, robust = doc.eps(document), doc.robust(document)
    return [curve_svg(document["curve"], eps, robust, chance, wide) for wide in (True, False)]


def _all_curves(document: Document) -> dict[str, Any] | None:
    """Every attack's own security curve, in one figure."""
    found = document["security_curves"]
    if found is None or all(one["fills"] for one in found["attacks"]):
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
    label = f"Share of {n} images that stand as eps grows, for each of {len(lines) - 1} attacks and for all together"
    both = [lines_svg(lines, even_ticks(grid[-1]), "eps", label, wide, marks) for wide in (True, False)]
    legend = [(f"broke{code[one['attack']]}", one["attack"], one["standing"][-1] / n) for one in found["attacks"]]
    return {"svgs": both, "legend": legend, "n": n, "all": found["all"][-1] / n}


def _over(grid: list[float], left: list[int], n: int) -> list[tuple[float, float]]:
    return [(eps, count / n) for eps, count in zip(grid, left, strict=True)]


def _spent(document: Document) -> list[str]:
    """What the attacks left, against the passes spent until then, on a logarithmic axis."""
    n, total = document["n"], 0
    points = [(0.0, document["initially_correct"] / n)]
    marks = []
    for one in document["attacks"]:
        total += one["queries"] + one["gradients"]
        points.append((math.log10(max(1.0, total / n)), one["standing_after"] / n))
        told = f"{one['attack']}: {percent(points[-1][1])} left after {total / n:.0f} passes an image"
        marks.append(Mark(told, *points[-1]))
    top = max(1, math.ceil(points[-1][0]))
    ticks = [(float(k), f"{10**k:,}") for k in range(top + 1)]
    line = Line("still right", "line", steps(points))
    label = (
        f"Robust accuracy falls from {percent(points[0][1])} to {percent(points[-1][1])} in {total:,} passes, "
        f"{total / n:.0f} an image"
    )
    title = "forward and backward passes an image, so far"
    return [lines_svg([line], ticks, title, label, wide, marks) for wide in (True, False)]


def _distances(document: Document) -> dict[str, Any] | None:
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
    told = {"quantiles": breakdown.quantiles(found), "n": len(found), "right": right, "of_curve": of_curve}
    return {"svgs": svgs, **told}


# --- classes ------------------------------------------------------------------------------------------------------


def _classes(document: Document) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = [
        {
            "name": doc.class_name(document, row["label"]),
            "clean": figure(row["clean"]),
            "robust": figure(row["robust"]),
            "worst": document["worst_class"] is not None and row["label"] == document["worst_class"]["label"],
        }
        for row in document["classes"]
    ]
    if len(rows) < 2:
        return None
    shown = rows
    if len(rows) > CLASSES:
        shown = sorted(rows, key=lambda row: (row["robust"].value, -row["robust"].of))[:CLASSES]
    worst = next(row for row in rows if row["worst"])
    equals = sum(row["robust"].value == worst["robust"].value for row in rows)
    return {"rows": shown, "hidden": len(rows) - len(shown), "of": len(rows), "worst": worst, "equals": equals}


def _confusion(document: Document) -> dict[str, Any] | None:
    """A table of all where there is room, else the most frequent pairs."""
    pairs = document["confusion"]
    if not pairs:
        return None
    total = sum(pair["count"] for pair in pairs)
    listed = [
        {
            "label": doc.class_name(document, pair["label"]),
            "prediction": doc.class_name(document, pair["prediction"]),
            "count": pair["count"],
            "share": pair["count"] / total,
        }
        for pair in pairs[:PAIRS]
    ]
    classes = int(document["data"]["classes"])
    if classes > CELLS:
        return {"names": None, "rows": [], "pairs": listed, "total": total}
    count = {(pair["label"], pair["prediction"]): pair["count"] for pair in pairs}
    most, names = pairs[0]["count"], [doc.class_name(document, k) for k in range(classes)]
    rows = [
        {
            "name": names[a],
            "cells": [
                {
                    "count": count.get((a, b), 0),
                    "same": a == b,
                    "heat": round(100 * count.get((a, b), 0) / most),
                    "told": f"{count.get((a, b), 0)} images of {names[a]} are taken for {names[b]}",
                }
                for b in range(classes)
            ],
        }
        for a in range(classes)
    ]
    return {"names": names, "rows": rows, "pairs": listed, "total": total}


# --- pictures -----------------------------------------------------------------------------------------------------


def _gallery(document: Document) -> list[dict[str, Any]]:
    """Pictures by kind, those without any left out."""
    kinds = dict.fromkeys(one["kind"] for one in document["gallery"])
    return [
        {
            "kind": kind,
            "shots": [
                {
                    **one,
                    "label": doc.class_name(document, one["label"]),
                    "fooled": doc.class_name(document, one["prediction"]),
                }
                for one in document["gallery"]
                if one["kind"] == kind
            ],
        }
        for kind in kinds
    ]
