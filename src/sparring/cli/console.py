"""Where a command speaks: results for people on stdout, everything else on stderr. Neither reads markup in texts.

A path may be called "scans [/b]", an error may quote "[red]": what is printed is printed as it is. Where a text needs
a style, it is a `rich.text.Text`.
"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager
from typing import Any

from rich.console import Console
from rich.text import Text

WIDTH = 80
"columns of a table where nobody watches: rich would take the environment's, which may be anything"


class Stdout(Console):
    """`sparring attacks | head` ends with exit code 0: rich's own 1 would mean here that a requirement was not met."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"markup": False, "highlight": False, "emoji": False, **options})

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it closes stdout
        raise SystemExit(0)

    def say(self, text: str, style: str = "") -> None:
        """Print one line, however long it is."""
        self.print(Text(text, style), soft_wrap=True)


def stderr(quiet: bool = False) -> Console:
    """The console for progress and notes."""
    return Console(stderr=True, quiet=quiet, markup=False, highlight=False, emoji=False)


def note(log: Console, text: str) -> None:
    """Print one line on the console for notes, however long it is."""
    log.print(Text(text), soft_wrap=True)


def working(log: Console, what: str) -> AbstractContextManager[Any]:
    """Say what is going on while it lasts, if somebody watches."""
    return log.status(Text(what))
