"""Classes, what broken images are taken for, and the pictures."""

from __future__ import annotations

from typing import Any

from sparring.audit.report import document as doc
from sparring.audit.report.document import Document, figure
from sparring.audit.report.html.curves import RIM

CLASSES = 20
"more classes than this are not all shown: those of which least survives are"

PAIRS = 12
"confusions listed where there are too many classes for a table of all"

CELLS = 12
"classes that the table of all confusions has room for"


def classes(document: Document) -> dict[str, Any] | None:
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


def confusion(document: Document) -> dict[str, Any] | None:
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
                    "title": f"{count.get((a, b), 0)} images of {names[a]} are taken for {names[b]}",
                }
                for b in range(classes)
            ],
        }
        for a in range(classes)
    ]
    return {"names": names, "rows": rows, "pairs": listed, "total": total}


def _title(document: Document, kind: str) -> str:
    """What the pictures of a kind show. Where even the smallest lie at the edge, none was looked for further in."""
    smallest = min((one["distance"] for one in document["gallery"]), default=0.0)
    if smallest >= RIM * doc.eps(document):
        return {
            "smallest": "Successes, one a class where there are enough; all lie at the edge of the radius, "
            "as the attacks use all of it",
        }.get(kind, "More successes, at the edge of the radius")
    if kind == "smallest":
        return "The smallest successes, one a class where there are enough"
    return "Typical successes, near the median distance"


def gallery(document: Document) -> list[dict[str, Any]]:
    """Pictures by kind, those without any left out."""
    kinds = dict.fromkeys(one["kind"] for one in document["gallery"])
    return [
        {
            "kind": kind,
            "title": _title(document, kind),
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
