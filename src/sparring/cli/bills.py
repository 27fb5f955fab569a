"""What a command has paid for queries is said at its end, however it ends: done, by an error, or by Ctrl-C."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sparring.accounts import Paid, watched
from sparring.cli.console import note, stderr


@contextmanager
def billed(quiet: bool = False) -> Iterator[None]:
    """Afterwards the account of each model that was loaded inside, and paid, stands on stderr.

    Args:
        quiet: say it only after an error, whose line does not say it already.
    """
    with watched() as models:
        try:
            yield
        except BaseException as error:
            _say(models, str(error))
            raise
        if not quiet:
            _say(models)


def _say(models: list[Paid], said: str = "") -> None:
    for account in dict.fromkeys(model.account for model in models if model.used):
        if account not in said:
            note(stderr(), account)
