"""Tables that fit a terminal of 80 columns: headers break, the first column folds, numbers stay whole."""

from __future__ import annotations

import textwrap
from collections.abc import Collection

from rich.table import Table
from rich.text import Text

HEADER = 10
"columns after which a header is broken between its words"


def table(*columns: str, title: str | None = None, left: Collection[str] = (), whole: Collection[str] = ()) -> Table:
    """An empty table.

    Args:
        columns: the headers; the first column holds names and folds where there is no room.
        left: columns of words, which fold too; all others hold numbers.
        whole: columns of names that people copy: they never fold.
    """
    made = Table(
        box=None,
        pad_edge=False,
        header_style="bold",
    )
    for k, column in enumerate(columns):
        words = k == 0 or column in left
        header = Text("\n".join(textwrap.wrap(column, HEADER, break_long_words=False)) if k else column)
        made.add_column(
            header,
            justify="left" if words else "right",
            no_wrap=not words or column in whole,
            overflow="fold",
            vertical="top",
        )
    return made
