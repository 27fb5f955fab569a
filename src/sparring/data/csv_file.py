"""`csv:FILE`: a table of pictures anywhere on this machine, see `tables`; paths are relative to the table's folder."""

from __future__ import annotations

from pathlib import Path

from sparring.data.errors import DataError
from sparring.data.folder import OPTIONS, labelled, recipe_from
from sparring.data.images import ImageData
from sparring.data.registry import DataInfo, Options, Source

SHARED = {key: what for key, what in OPTIONS.items() if key not in ("classes", "labels")}


def load(argument: str, split: str, options: Options) -> ImageData:
    """All pictures that the table names, whichever split is asked for. Raises DataError."""
    path = Path(argument).expanduser()
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    return labelled(path, path.parent, f"csv:{argument}", "all", recipe_from(options), options)


def info() -> DataInfo:
    """What `sparring data` shows."""
    about = "a table of picture files: columns file, and index or label"
    return DataInfo("csv:FILE", about, None, None, {}, (), "FILE (.csv, .tsv, .jsonl)", 0, SHARED)


SOURCE = Source("csv", load, info, argument="FILE", options=tuple(SHARED))
