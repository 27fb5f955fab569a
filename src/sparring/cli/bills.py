"""What a command has paid for queries is said at its end, however it ends: done, by an error, or by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

from sparring.accounts import Paid, watched
from sparring.cli.console import note, stderr


@contextmanager
def billed(quiet: bool = False) -> Iterator[None]:
    """Afterwards the account of each model that was loaded inside, and paid, stands on stderr; and after a run that
    went well, whether it still answers as before.

    Args:
        quiet: say it only after an error, whose line does not say it already.
    """
    with watched() as models:
        left: typer.Exit | None = None
        try:
            try:
                yield
            except typer.Exit as over:  # done, though a requirement is not met
                left = over
            seen = [line for model in models if model.used and (line := model.look_again()) is not None]
        except BaseException as error:
            _say(models, str(error))
            raise
        if not quiet:
            for line in dict.fromkeys(seen):
                note(stderr(), line)
            _say(models)
        if left is not None:
            raise left


def _say(models: list[Paid], said: str = "") -> None:
    for account in dict.fromkeys(model.account for model in models if model.used):
        if account not in said:
            note(stderr(), account)
