"""Several attacks in turn under one budget, each from the nearest point that those before it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from typing import NamedTuple

from sparring.attack import Attack
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.model import LEVELS, Access
from sparring.norms import Norm


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


def chosen(specs: str, norm: Norm, sees: Access, make: Callable[[str], Attack]) -> list[Turn]:
    """`even`, of attacks that can take a turn.

    Raises:
        InputError: one knows nothing of budgets, of this norm, of smallest perturbations, or sees more than is allowed.
    """
    turns = even(specs)
    if not turns:
        raise InputError(f"attacks={specs!r} names no attack; expected specs joined by '+', like 'rays+adba'")
    for turn in turns:
        member, wanted = make(turn.spec), "name another, or run it by itself"
        info = member.info
        if "queries" not in {field.name for field in fields(member)}:  # type: ignore[arg-type]
            raise InputError(f"attacks: {turn.spec} has no field queries, so it can share no budget; {wanted}")
        if norm not in info.norms:
            raise InputError(f"attacks: {turn.spec} is for {', '.join(map(str, info.norms))}, not for {norm}; {wanted}")
        if info.aim != "minimum":
            raise InputError(f"attacks: {turn.spec} searches inside a radius, not for the smallest one; {wanted}")
        if LEVELS.index(info.sees) > LEVELS.index(sees):
            raise InputError(f"attacks: {turn.spec} needs {info.sees} access, this one has {sees} alone; {wanted}")
    return turns


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
