"""What the attacks did: the cascade, who broke what, every image."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sparring.audit.cascade.outcome import STANDING, WRONG
from sparring.audit.report.document import Document, figure
from sparring.audit.report.html.charts import strip_svg

STRIP = 2000
"more images than this are not drawn one by one"

COLOURS = 12
"stages that can be told apart in the strip of images and in the security curves"


def stages(document: Document) -> list[dict[str, Any]]:
    return [
        {
            "title": one["attack"],
            "spec": one["spec"],
            "images": one.get("images", one["tried"]),
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


def matrix(document: Document) -> dict[str, Any] | None:
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
                    "title": f"{a} breaks {table[a][b]} images that {b} does not",
                }
                for b in names
            ],
        }
        for a in names
    ]
    return {"names": names, "rows": rows}


def strip(document: Document) -> dict[str, Any] | None:
    if document["n"] > STRIP:
        return None
    titles = [one["attack"] for one in document["attacks"]]
    codes = [
        titles.index(row["broken_by"]) if row["broken_by"] else {"wrong": WRONG}.get(row["status"], STANDING)
        for row in document["samples"]
    ]
    counts = Counter(codes)
    legend = [(f"broke{k % COLOURS}", title, counts[k]) for k, title in enumerate(titles) if counts[k]]
    legend += [("standing", "unbroken", counts[STANDING])] if counts[STANDING] else []
    legend += [("wrong", "wrong before any attack", counts[WRONG])] if counts[WRONG] else []
    return {"svg": strip_svg(codes, titles, WRONG, STANDING, COLOURS), "legend": legend}
