"""Shares of the passes: how several attacks, the parts of one search, divide a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """An attack, its share of the passes, and whether it starts afresh instead of from what those before it found."""

    spec: str
    share: float
    afresh: bool = False


def shared(parts: Sequence[Part], most: int, least: int) -> list[tuple[Part, int]]:
    """Which parts get how many of the `most` passes: each at least so many, or it is left out, the last first.

    >>> shared([Part("fmn", 1), Part("alma", 3)], 200, 30)
    [(Part(spec='fmn', share=1, afresh=False), 50), (Part(spec='alma', share=3, afresh=False), 150)]
    >>> [(part.spec, passes) for part, passes in shared([Part("fmn", 1), Part("alma", 3)], 100, 30)]
    [('fmn', 100)]
    """
    for count in range(len(parts), 0, -1):
        total = sum(part.share for part in parts[:count])
        divided = [(part, max(2, int(most * part.share / total))) for part in parts[:count]]
        if min(passes for _, passes in divided) >= least:
            break
    return divided
