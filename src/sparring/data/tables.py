"""Tables of pictures: a CSV, TSV or JSON-lines file that names picture files and their classes; and lists of names.

    file,index,label                 a number, a name or both; the model's number where there is one
    tench_1.jpg,1,"tench, Tinca tinca"

The usual names of columns are known (file_name, path, image; class_id, target; class, name), and a table without a head
whose first column is files. Paths are relative to the folder, else absolute.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparring.data.errors import DataError
from sparring.data.pictures import suffixes

FILES = ("file", "file_name", "filename", "path", "image", "image_path", "img", "picture", "filepath")
NUMBERS = (
    "index",
    "idx",
    "class_index",
    "class_idx",
    "class_id",
    "label_id",
    "label_idx",
    "label_index",
    "target",
    "y",
)
NAMES = ("label", "class", "class_name", "label_name", "name", "category", "species", "wnid", "synset")
MOST_BYTES = 256 << 20
"of a table"
MOST_CLASSES = 100_000
METADATA = ("metadata.csv", "metadata.jsonl")
"how Hugging Face's imagefolder calls a table"


@dataclass(frozen=True)
class Labelled:
    """A table that was read. paths: of the pictures. labels: a number each. classes: their names, or their numbers.

    named: the numbers are places in the sorted names, and nothing but these.
    """

    paths: list[Path]
    labels: list[int]
    classes: list[str]
    named: bool


def is_table(text: str) -> bool:
    """Does an option name a table?"""
    return Path(text).suffix.lower() in (".csv", ".tsv", ".jsonl", ".txt")


def read_table(path: Path, root: Path) -> Labelled:
    """The pictures that the table `path` names, below `root`.

    Raises:
        DataError: no such table, no column of files or labels, a picture that is not there, a class without a number.
    """
    rows = list(_rows(path))
    if not rows:
        raise DataError(f"{path} names no pictures")
    columns = list(rows[0])
    file = _column(columns, FILES)
    number, name = _column(columns, NUMBERS), _column(columns, NAMES)
    if file is None or (number is None and name is None):
        raise DataError(
            f"{path} has the columns {', '.join(columns[:8])}; expected file and index or label "
            f"({', '.join(FILES[:4])}; {', '.join(NUMBERS[:4])}; {', '.join(NAMES[:4])})"
        )
    paths = [_found(root, str(row.get(file) or ""), path) for row in rows]
    if number is None and name is not None and all(_whole(row.get(name)) is not None for row in rows):
        number, name = name, None
    names = None if name is None else [str(row.get(name) or "").strip() for row in rows]
    if number is None:
        assert names is not None
        if "" in names:
            raise DataError(f"{path} has no {name} for {paths[names.index('')].name}")
        classes = sorted(set(names))
        place = {each: k for k, each in enumerate(classes)}
        return Labelled(paths, [place[each] for each in names], classes, True)
    labels = []
    for row, picture in zip(rows, paths, strict=True):
        value = _whole(row.get(number))
        if value is None or not 0 <= value < MOST_CLASSES:
            raise DataError(
                f"{path} says {number}={row.get(number)!r} for {picture.name}; expected a class number from 0"
            )
        labels.append(value)
    return Labelled(paths, labels, _called(path, labels, names), False)


def read_names(path: Path) -> list[str]:
    """Class names in the order of their numbers: one a line; a JSON list; a JSON object by number, or one that holds
    such as id2label.

    Raises:
        DataError: none of these.
    """
    text = _text(path)
    if path.suffix.lower() != ".json":
        return [line.strip() for line in text.splitlines() if line.strip()]
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON ({error})") from None
    said = said.get("id2label", said) if isinstance(said, dict) else said
    if isinstance(said, dict):
        if set(said) != {str(k) for k in range(len(said))}:
            raise DataError(f"{path} numbers its classes {', '.join(list(said)[:4])}, ...; expected 0, 1, 2, ...")
        said = [said[str(k)] for k in range(len(said))]
    if not isinstance(said, list) or not said or not all(isinstance(one, str) for one in said):
        raise DataError(f"{path} is no list of class names")
    return said


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    text = _text(path)
    if path.suffix.lower() == ".jsonl":
        for number, line in enumerate(text.splitlines(), 1):
            try:
                row = json.loads(line) if line.strip() else None
            except (ValueError, RecursionError):
                raise DataError(f"{path}, line {number}: not JSON") from None
            if isinstance(row, dict):
                yield {str(key).lower(): value for key, value in row.items()}
        return
    lines = text.splitlines()
    head = lines[0] if lines else ""
    mark = "\t" if path.suffix.lower() == ".tsv" or "\t" in head else ";" if ";" in head and "," not in head else ","
    mark = " " if path.suffix.lower() == ".txt" and mark not in head else mark
    try:
        table = list(csv.reader(lines, delimiter=mark, strict=True))
    except csv.Error as error:
        raise DataError(f"{path} is not a table: {error}") from None
    table = [row for row in table if row]
    columns = [cell.strip().lower() for cell in table[0]] if table else []
    if columns and Path(columns[0]).suffix in suffixes():  # no head
        columns = ["file", "label"][: len(columns)] + [f"column {k}" for k in range(2, len(columns))]
    else:
        table = table[1:]
    for row in table:
        if len(row) != len(columns):
            raise DataError(f"{path}: {', '.join(row)[:80]!r} has {len(row)} cells; expected {len(columns)}")
        yield dict(zip(columns, row, strict=True))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{path} has {path.stat().st_size} bytes; at most {MOST_BYTES} are read")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"there is no file {path}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not a text in UTF-8") from None


def _column(columns: Sequence[str], known: Sequence[str]) -> str | None:
    return next((name for name in known if name in columns), None)


def _found(root: Path, text: str, table: Path) -> Path:
    picture = root / text.strip()
    if not text.strip() or not picture.is_file():
        raise DataError(f"{table} names {text.strip() or 'an empty path'}, but there is no file {picture}")
    return picture


def _whole(value: Any) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _called(path: Path, labels: list[int], names: list[str] | None) -> list[str]:
    """What each number is called, up to the largest; its own number where no name is known."""
    called: dict[int, str] = {}
    for label, name in zip(labels, names or [""] * len(labels), strict=True):
        if name and called.setdefault(label, name) != name:
            raise DataError(f"{path} calls class {label} {called[label]!r} and {name!r}")
    return [called.get(k, str(k)) for k in range(max(labels) + 1)]
