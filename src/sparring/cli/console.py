"""Where results for people go: a rich console on stdout whose reader may leave early."""

from __future__ import annotations

import os
import sys

from rich.console import Console


class Stdout(Console):
    """`sparring attacks | head` ends with exit code 0: rich's own 1 would mean here that a requirement was not met."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it closes stdout
        raise SystemExit(0)
