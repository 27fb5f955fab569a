"""The report as one HTML page: no script, no network, pictures and plots inside."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sparring.audit.cascade import STANDING, WRONG
from sparring.audit.charts import curve_svg, interval_svg, strip_svg
from sparring.audit.doubts import MEANINGS, meaning
from sparring.audit.intervals import percent
from sparring.audit.pictures import triple

if TYPE_CHECKING:
    from sparring.audit.report import Report

STRIP = 2000
"more images than this are not drawn one by one"

COLOURS = 12
"stages that can be told apart in the strip of images"

TONES = {
    "claim-holds": ("good", "Claim holds at this budget"),
    "overestimated": ("bad", "Overestimated"),
    "gradient-masking": ("bad", "Gradient masking"),
    "inconclusive": ("warn", "Inconclusive"),
    "no-claim": ("plain", "Upper bound"),
}


def render(report: Report) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=percent, svg=Markup, number=lambda value: f"{value:,}", tight=tight)
    source = files("sparring.audit").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(source).render(**context(report))


def tight(text: str) -> str:
    """No line break between a number and its per cent sign."""
    return text.replace(" %", "\N{NO-BREAK SPACE}%")


def context(report: Report) -> dict[str, Any]:
    """What the template shows."""
    tone, label = TONES[report.status]
    eps = report.threat.eps or 0.0
    return {
        "report": report,
        "tone": tone,
        "label": label,
        "cards": _cards(report),
        "doubts": [
            (code, meaning(code), [doubt.message for doubt in report.doubts if doubt.code == code])
            for code in dict.fromkeys(doubt.code for doubt in report.doubts)
        ],
        "fine": _fine(report),
        "stages": _stages(report),
        "matrix": _matrix(report),
        "strip": _strip(report),
        "curves": _curves(report, eps),
        "gallery": _gallery(report),
        "eps": f"{eps:.4g}",
        "interval": interval_svg,
    }


def _cards(report: Report) -> list[dict[str, Any]]:
    attacks = len(report.attacks)
    cards = [
        {
            "title": "Clean accuracy",
            "figure": report.clean,
            "of": "of all images, before any attack",
            "tone": "plain",
        },
        {
            "title": "Robust accuracy",
            "figure": report.robust,
            "of": f"of all images, worst case over {attacks} attacks, image by image",
            "tone": "main",
        },
        {
            "title": "Attack success rate",
            "figure": report.success,
            "of": "of the images that were right before",
            "tone": "plain",
        },
    ]
    if report.strongest is not None:
        name, figure = report.strongest
        cards.append(
            {
                "title": f"{name} alone",
                "figure": figure,
                "of": "survive the strongest single attack, of the sanity subset",
                "tone": "plain",
            }
        )
    return cards


def _fine(report: Report) -> list[str]:
    """What was checked and found in order."""
    seen = {doubt.code for doubt in report.doubts}
    skipped = set()
    if report.probes.flat_ce is None:
        skipped |= {"loss-saturation", "zero-gradients", "budget-not-used", "single-step-beats-iterative"}
        skipped |= {"black-box-beats-white-box", "noise-beats-gradient"}
    families = {one.stage.family for one in report.attacks}
    skipped |= set() if "query" in families else {"black-box-beats-white-box"}
    skipped |= set() if "noise" in families else {"noise-beats-gradient"}
    skipped |= set() if {"single-step", "iterative"} <= families else {"single-step-beats-iterative"}
    skipped |= {"large-eps-survives", "not-monotone"} if report.curve is None else set()
    skipped |= set() if report.rounded.of else {"rounding"}
    return [known.fine for code, known in MEANINGS.items() if known.fine and code not in seen | skipped]


def _stages(report: Report) -> list[dict[str, Any]]:
    return [
        {
            "title": one.stage.title,
            "spec": one.stage.spec,
            "tried": one.tried,
            "broke": len(one.broke),
            "robust": one.robust,
            "alone": report.alone.get(one.stage.title),
            "passes": one.queries + one.gradients,
            "seconds": one.result.seconds,
            "code": k % COLOURS,
        }
        for k, one in enumerate(report.attacks)
    ]


def _matrix(report: Report) -> dict[str, Any] | None:
    names = list(report.matrix)
    if len(names) < 2:
        return None
    most = max(max(row.values()) for row in report.matrix.values()) or 1
    rows = [
        {
            "name": a,
            "cells": [
                {
                    "count": report.matrix[a][b],
                    "same": a == b,
                    "heat": round(100 * report.matrix[a][b] / most),
                    "told": f"{a} breaks {report.matrix[a][b]} images that {b} does not",
                }
                for b in names
            ],
        }
        for a in names
    ]
    return {"names": names, "rows": rows}


def _strip(report: Report) -> dict[str, Any] | None:
    if report.n > STRIP:
        return None
    titles = [one.stage.title for one in report.attacks]
    codes = [
        titles.index(row["broken_by"]) if row["broken_by"] else {"wrong": WRONG}.get(row["status"], STANDING)
        for row in report.samples
    ]
    counts = Counter(codes)
    legend = [(f"broke{k % COLOURS}", title, counts[k]) for k, title in enumerate(titles) if counts[k]]
    legend += [("standing", "stands", counts[STANDING])] if counts[STANDING] else []
    legend += [("wrong", "wrong before any attack", counts[WRONG])] if counts[WRONG] else []
    return {"svg": strip_svg(codes, titles, WRONG, STANDING, COLOURS), "legend": legend}


def _curves(report: Report, eps: float) -> list[str]:
    if report.curve is None:
        return []
    chance = 1 / int(report.data["classes"])
    return [curve_svg(report.curve, eps, report.robust, chance, wide) for wide in (True, False)]


def _gallery(report: Report) -> list[dict[str, Any]]:
    shown = []
    box = report.model["box"]
    for example in report.examples:
        pictures = triple(example.clean, example.adversarial, (box[0], box[1]))
        if pictures is not None:
            names = report.data["class_names"]
            label, fooled = (str(k) if names is None else names[k] for k in (example.label, example.prediction))
            shown.append({"example": example, "pictures": pictures, "label": label, "fooled": fooled})
    return shown
