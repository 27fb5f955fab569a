"""One row a sample: what the attack did, what the model said before and after, what became of the PNG."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from sparring.errors import InputError
from sparring.export.answers import Answers
from sparring.export.pngs import PngCheck
from sparring.result import Result
from sparring.storage import replacing
from sparring.threat import Goal


def sample_rows(
    result: Result,
    goal: Goal,
    *,
    index: Tensor | None = None,
    clean: Answers | None = None,
    adversarial: Answers | None = None,
    png: PngCheck | None = None,
    classes: Sequence[str] | None = None,
) -> list[dict[str, Any]]:
    """Plain values, the same keys in every row; what is not known is left out of all rows.

    Args:
        index: [N] the samples' numbers in their data set. clean, adversarial: what the model says of x and x_adv.
        classes: names, which are added to the class numbers.
    """
    columns: dict[str, list[Any]] = {"index": list(range(len(result))) if index is None else index.tolist()}

    def add_class(name: str, numbers: Tensor | None) -> None:
        if numbers is not None:
            columns[name] = numbers.tolist()
            if classes is not None:
                columns[f"{name}_name"] = [class_name(number, classes) for number in columns[name]]

    add_class("label", goal.y)
    add_class("target", goal.t if goal.targeted else None)
    for name, answers in (("clean", clean), ("adversarial", adversarial), ("png", png)):
        if answers is not None:
            add_class(f"{name}_class", answers.prediction)
            columns[f"{name}_confidence"] = answers.confidence.tolist()
    if png is not None:
        columns["png_success"], columns["png_distance"] = png.success.tolist(), png.distance.tolist()
    rows = result.rows()
    return [
        {**{name: values[i] for name, values in columns.items()}, **{k: v for k, v in row.items() if k != "index"}}
        for i, row in enumerate(rows)
    ]


def class_name(number: int, classes: Sequence[str] | None) -> str:
    """The name of a class where there is one, else its number."""
    return classes[number] if classes is not None and 0 <= number < len(classes) else str(number)


def write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Rows with the same keys as CSV (RFC 4180, UTF-8): true/false, "inf" for infinite, empty for unknown numbers.

    Raises:
        InputError: rows with different keys. OutputPathError: the file system refuses.
    """
    names = list(rows[0]) if rows else []
    if any(list(row) != names for row in rows):
        raise InputError("the rows of a table need the same columns, in the same order")
    with replacing(path) as waiting, waiting.open("w", encoding="utf-8", errors="replace", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_cell(value) for value in row.values()] for row in rows)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or value != value:  # NaN is the one value that is not itself
        return ""
    return repr(value) if isinstance(value, float) else str(value)
