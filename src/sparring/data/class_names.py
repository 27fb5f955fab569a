"""Class names known on both sides, of the model and of the data: the numbers of the one in terms of the other."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from sparring.errors import InputError

CODE = re.compile(r"n\d{8}|label_?\d+|class_?\d+|\d+", re.IGNORECASE)
"names that say nothing: numbers, and the codes of WordNet, whose order is that of ImageNet's classes"
SYNSET = re.compile(r"n\d{8}")


def by_name(data: Sequence[str] | None, model: Sequence[str] | None) -> list[int] | None:
    """For each class of the data, the number that the model has for it; None = the numbers are the same.

    Names are compared without case, spaces and hyphens, up to a comma. A class of the data that is called by its own
    number has no name, and gets -1 where the others move. Names that are codes only are not compared, unless they are
    some of the model's own codes ("3" and "7" of ten digits); WordNet's codes (n01440764) are looked up for a model of
    1,000 or 1,001 classes. Where most names agree place by place, the others are taken for other words of the same.

    Raises:
        InputError: the names differ; with both lists.
    """
    if data is None or model is None or not len(data) or not len(model):
        return None
    mine, theirs = [_plain(name) for name in data], [_plain(name) for name in model]
    named = [k for k, name in enumerate(data) if str(name) != str(k)]
    if not named:
        return None
    if all(k < len(theirs) and mine[k] == theirs[k] for k in named):
        return None if len(mine) >= len(theirs) else list(range(len(mine)))
    count = Counter(theirs)
    if all(count[mine[k]] == 1 for k in named):
        place = {name: number for number, name in enumerate(theirs)}
        return [place[name] if k in set(named) else -1 for k, name in enumerate(mine)]
    if all(SYNSET.fullmatch(str(data[k])) for k in named):
        found = synset_numbers([str(data[k]) for k in named], len(theirs))
        if found is not None:
            return found if len(named) == len(mine) else None
    codes = all(map(CODE.fullmatch, mine)) or all(map(CODE.fullmatch, theirs))
    if codes and len(mine) == len(theirs):
        return None
    same = sum(k < len(theirs) and mine[k] == theirs[k] for k in named)
    moved = sum(not (k < len(theirs) and mine[k] == theirs[k]) and mine[k] in count for k in named)
    whole = len(mine) == len(theirs) or len(named) < len(mine)
    if whole and not moved and 2 * same >= len(named):
        return None
    raise InputError(_differ(data, model, named, mine, count))


def synset_numbers(codes: Sequence[str], classes: int) -> list[int] | None:
    """The numbers that WordNet's codes have in a model of so many classes; None = they are not ImageNet's.

    ImageNet's 1,000 classes are numbered in the order of their codes; nets of 1,001 classes put a background before.

    >>> synset_numbers(["n01440764", "n04254777"], 1001)
    [1, 807]
    """
    known = synsets()
    if classes not in (len(known), len(known) + 1) or not set(codes) <= known.keys():
        return None
    return [known[code] + classes - len(known) for code in codes]


@cache
def synsets() -> dict[str, int]:
    """The 1,000 codes of ImageNet-1k's classes, with their numbers."""
    text = Path(__file__).with_name("imagenet_synsets.txt").read_text(encoding="ascii")
    return {code: number for number, code in enumerate(text.split())}


def _differ(data: Sequence[str], model: Sequence[str], named: list[int], mine: list[str], count: Counter[str]) -> str:
    """What to say where names do not fit."""
    lost = [k for k in named if mine[k] not in count]
    text = f"the classes of the data are {_listed(data)}, those of the model {_listed(model)}"
    if twice := [str(data[k]) for k in named if count[mine[k]] > 1]:
        text += f"; the model calls several classes {twice[0]!r}"
    elif lost and len(lost) < len(named):
        first = str(data[lost[0]])
        near = difflib.get_close_matches(first, [str(name) for name in model], 1)
        text += f"; the model has none called {first!r}" + (f" (is it {near[0]!r}?)" if near else "")
    return (
        f"{text}: name them alike, give the model's numbers (a labels file with an index column, or order=FILE), or, "
        "if the numbers mean the same, leave the names of one out (wrap(net) without classes=, or data as tensors)"
    )


def _plain(name: object) -> str:
    return re.sub(r"[\s_\-]+", "", str(name).partition(",")[0]).casefold()


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(map(str, names[:8]))}{', ...' if len(names) > 8 else ''})"
