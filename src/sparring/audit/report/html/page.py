"""The report as one HTML page: no script, no network, pictures and plots inside. Made from its plain values alone."""

from __future__ import annotations

import math
from importlib.resources import files
from typing import Any

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document, figure
from sparring.audit.report.html import attacks, classes, curves, top
from sparring.audit.report.html.charts import interval_svg
from sparring.audit.statistics.proportion import percent
from sparring.threat import eps_text

TONES = {
    "claim-holds": ("good", "Claim holds at this budget"),
    "overestimated": ("bad", "Overestimated"),
    "gradient-masking": ("bad", "Gradient masking"),
    "inconclusive": ("warn", "Inconclusive"),
    "no-claim": ("plain", "Upper bound"),
}


def render(document: Document) -> str:
    """The page as text."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(percent=_percent, svg=Markup, number=lambda value: f"{value:,}", tight=tight)
    source = files("sparring.audit.report.html").joinpath("report.html.j2").read_text(encoding="utf-8")
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
        "cards": top.cards(document),
        "requirements": top.requirements(document),
        "claims": top.claims(document),
        "doubts": top.doubts(document),
        "remedies": top.remedies(document),
        "stages": attacks.stages(document),
        "matrix": attacks.matrix(document),
        "strip": attacks.strip(document),
        "curves": curves.curves(document),
        "all_curves": curves.all_curves(document),
        "spent": curves.spent(document),
        "over_queries": curves.over_queries(document),
        "distances": curves.distances(document),
        "classes": classes.classes(document),
        "confusion": classes.confusion(document),
        "survival": [
            {"name": one["treatment"], "fooled": figure(one["fooled"]), "right": figure(one["clean_right"])}
            for one in document["survival"]
        ],
        "gallery": classes.gallery(document),
        "taxonomy": [block for block in document["taxonomy"].values() if isinstance(block, dict)],
        "eps": eps_text(doc.eps(document)),
        "interval": interval_svg,
    }


def _percent(share: float | None) -> str:
    return percent(math.nan if share is None else share)
