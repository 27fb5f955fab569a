"""Class names known on both sides, of the model and of the data: the numbers of the one in terms of the other."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sparring.errors import InputError

CODE = re.compile(r"n\d{8}|label_?\d+|class_?\d+|\d+", re.IGNORECASE)
"names that say nothing: numbers, and the codes of WordNet, whose order is that of ImageNet's classes"


def by_name(data: Sequence[str] | None, model: Sequence[str] | None) -> list[int] | None:
    """For each class of the data, the number that the model has for it; None = the numbers are the same.

    Names are compared without case, spaces and hyphens, up to a comma. Names that are codes only are not compared,
    unless they are some of the model's own codes ("3" and "7" of ten digits).
    Where most names agree place by place, the others are taken for other words of the same.

    Raises:
        InputError: the names differ; with both lists.
    """
    if data is None or model is None or not len(data) or not len(model):
        return None
    mine, theirs = [_plain(name) for name in data], [_plain(name) for name in model]
    if mine == theirs[: len(mine)] or mine == [str(k) for k in range(len(mine))]:
        return None
    known = len(set(theirs)) == len(theirs) and set(mine) <= set(theirs)
    if not known and (all(map(CODE.fullmatch, mine)) or all(map(CODE.fullmatch, theirs))):
        return None
    if known:
        return [theirs.index(name) for name in mine]
    same = sum(a == b for a, b in zip(mine, theirs, strict=False))
    moved = sum(a != b and a in theirs for a, b in zip(mine, theirs, strict=False))
    if len(mine) == len(theirs) and not moved and 2 * same >= len(mine):
        return None
    raise InputError(
        f"the classes of the data are {_listed(data)}, those of the model {_listed(model)}: name them alike, or, if "
        "the numbers mean the same, leave the names of one out (wrap(net) without classes=, or data as tensors)"
    )


def _plain(name: object) -> str:
    return re.sub(r"[\s_\-]+", "", str(name).partition(",")[0]).casefold()


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(map(str, names[:8]))}{', ...' if len(names) > 8 else ''})"
