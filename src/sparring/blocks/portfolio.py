"""Several attacks in turn under one budget, each from the nearest point that those before it found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from sparring.attack import REGISTRY, Attack, AttackInfo
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.model import LEVELS
from sparring.spec import parse_spec


class Turn(NamedTuple):
    """One attack of a portfolio.

    Attributes:
        spec: the attack; it has a field `queries`. share: of the queries that are left when its turn comes.
        most: queries after which others do better, None = no such limit; what this limit, or the share, leaves goes to
            those after it. Queries of its own that an attack ends without are not handed on.
    """

    spec: str
    share: float = 1.0
    most: int | None = None


def even(specs: str) -> list[Turn]:
    """Attacks joined by "+", each with the same number of queries.

    Raises:
        InputError: there are none, or one has a number of queries of its own.

    >>> even("adba+rays")
    [Turn(spec='adba', share=0.5, most=None), Turn(spec='rays', share=1.0, most=None)]
    """
    names = [spec for spec in specs.split("+") if spec]
    if not names:
        raise InputError(f"attacks={specs!r} names no attack; join specs by '+', as in square-min+surfree")
    for spec in names:
        if "queries" in parse_spec(spec).fields:
            raise InputError(f"{spec!r} in attacks={specs!r}: members share the queries evenly; leave queries out")
    return [Turn(spec, 1 / (len(names) - k)) for k, spec in enumerate(names)]


def take_turns(bout: Bout, turns: Sequence[Turn], queries: int, make: Callable[[str], Attack]) -> None:
    """Run the attacks one after the other, `queries` for each image in all.

    An attack that follows itself goes on from what it found: rows without a point leave, as it would ask for one anew.

    Raises:
        InputError: one of them does not fit, see `fitting`; nothing has been asked then.
    """
    members = [fitting(make(turn.spec), bout) for turn in turns]
    left = queries
    for number, (turn, member) in enumerate(zip(turns, members, strict=True)):
        mine = max(1, min(round(left * turn.share), turn.most or left))
        part = bout.child(number, passes=mine)
        if number and member.info.name == members[number - 1].info.name:
            part.active(done=part.nearest_size.isinf())
        if left < 1 or not len(part):
            return
        left -= mine
        answer = replace(member, queries=mine).run(part)  # type: ignore[type-var]
        if answer is not None:
            part.submit(answer)


def fitting(member: Attack, bout: Bout) -> Attack:
    """The attack itself, if it can take a turn here.

    Raises:
        InputError: it cannot; the line says why, and which can.
    """
    why = _misfit(member.info, bout)
    if why is not None:
        others = [name for name, info in sorted(REGISTRY.each().items()) if info.listed and not _misfit(info, bout)]
        raise InputError(f"{member.info.name} {why}; there are {', '.join(others)}")
    return member


def _misfit(info: AttackInfo, bout: Bout) -> str | None:
    """Why the attack cannot take a turn here; None if it can."""
    if not hasattr(info.cls, "queries"):
        return "has no field 'queries', so it cannot share them"
    if bout.ball.norm not in info.norms:
        return f"works under {', '.join(map(str, info.norms))}, not {bout.ball.norm}"
    if info.aim not in ("minimum", "both"):
        return "does not look for the smallest perturbation"
    if LEVELS.index(info.sees) > LEVELS.index(bout.sees):
        return f"needs {info.sees} access, but the whole sees {bout.sees}"
    return None
