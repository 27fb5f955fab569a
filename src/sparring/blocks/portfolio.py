"""Several attacks in turn under one budget, each from the nearest point that those before it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sparring.attack import Attack
from sparring.bout import Bout


class Turn(NamedTuple):
    """One attack of a portfolio.

    Attributes:
        spec: the attack; it has a field `queries`. share: of the queries that are left when its turn comes.
        most: queries after which others do better, None = no such limit; what it leaves goes to those after it.
    """

    spec: str
    share: float = 1.0
    most: int | None = None


def even(specs: str) -> list[Turn]:
    """Attacks joined by "+", each with the same number of queries.

    >>> even("adba+rays")
    [Turn(spec='adba', share=0.5, most=None), Turn(spec='rays', share=1.0, most=None)]
    """
    names = [spec for spec in specs.split("+") if spec]
    return [Turn(spec, 1 / (len(names) - k)) for k, spec in enumerate(names)]


def take_turns(bout: Bout, turns: Sequence[Turn], queries: int, make: Callable[[str], Attack]) -> None:
    """Run the attacks one after the other, `queries` for each image in all."""
    left = queries
    for number, turn in enumerate(turns):
        mine = max(1, min(round(left * turn.share), turn.most or left))
        part = bout.child(number, passes=mine)
        if left < 1 or not len(part):
            return
        left -= mine
        answer = replace(make(turn.spec), queries=mine).run(part)  # type: ignore[type-var]
        if answer is not None:
            part.submit(answer)
