"""Who is paid by the query: models that cost money are known here while a command runs, whatever wraps them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Paid(Protocol):
    """A model that is paid by the query."""

    @property
    def account(self) -> str:
        """What was paid so far, in words."""

    @property
    def used(self) -> bool:
        """Was it asked at all since it was loaded?"""

    def look_again(self) -> str | None:
        """At the end of a run that went well: does it still answer as it did? In words, or None."""


_WATCHING: list[list[Paid]] = []


def enter(model: Paid) -> None:
    """Tell everybody who watches that this model was loaded."""
    for seen in _WATCHING:
        seen.append(model)


@contextmanager
def watched() -> Iterator[list[Paid]]:
    """The paid models that are loaded inside, as a list that grows. They are held until it ends."""
    seen: list[Paid] = []
    _WATCHING.append(seen)
    try:
        yield seen
    finally:
        _WATCHING[:] = [other for other in _WATCHING if other is not seen]
