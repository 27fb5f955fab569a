"""How a search went: what it had achieved after so many forward passes, for the images of the sanity subset.

Read off the referee's trace and reduced at once, so that nothing of the size of the search is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sparring.result import Result, Trace

GRID = (
    1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000, 1500, 2000, 3000, 5000, 7000, 10000,
    20000, 50000, 100000,
)  # fmt: skip
"forward passes at which a path is known"
LATE = 10
"steps at the end of a search: little should change in them"
LEAST = 3 * LATE
"fewest steps of a search for which the last ones are its end, not half of it"


@dataclass(frozen=True)
class Path:
    """The path of one attack.

    Attributes:
        rows: [s] numbers of the images. best: [s, len(GRID)] the largest margin so far, NaN before the first look.
        late: [s] the share of the whole rise that the last `LATE` looks brought, NaN for fewer than `LEAST` in all.
    """

    rows: Tensor
    best: Tensor
    late: Tensor

    def in_order(self) -> Path:
        """The same, its images by their numbers."""
        order = self.rows.argsort()
        return Path(self.rows[order], self.best[order], self.late[order])

    def shifted(self, first: int) -> Path:
        """The same with its images numbered from `first`."""
        return replace(self, rows=self.rows + first)


def joined(paths: Sequence[Path]) -> Path | None:
    """Paths of the same attack on several lots of images as one; None where there is none."""
    if not paths:
        return None
    return Path(*(torch.cat([getattr(one, name) for one in paths]) for name in ("rows", "best", "late")))


class Walk:
    """Reduces the traces of an attack, batch by batch.

    Args:
        rows: [r] numbers of the images that it is run on. subset: [s] those whose path is wanted.
    """

    def __init__(self, rows: Tensor, subset: Tensor) -> None:
        self.rows, self.asked = rows, torch.isin(rows, subset)
        self.parts: list[Path] = []

    @property
    def wanted(self) -> bool:
        """Some of the images are in the subset."""
        return bool(self.asked.any())

    def note(self, done: int, part: Result) -> None:
        """A batch is over, which ends with the image number `done` of `rows`."""
        here = slice(done - len(part), done)
        at = self.asked[here].nonzero().squeeze(1)
        if part.trace is not None and len(at) and len(part.trace.margin):
            self.parts.append(Path(self.rows[here][at], *_reduced(part.trace, at)))

    def path(self) -> Path | None:
        """What was noted."""
        return joined(self.parts)


def _reduced(trace: Trace, at: Tensor) -> tuple[Tensor, Tensor]:
    """`best` and `late` of the samples `at` [s] (numbers)."""
    margin, query = trace.margin[:, at].float(), trace.query[:, at]
    seen = margin.isfinite()
    best = margin.masked_fill(~seen, -torch.inf).cummax(0).values  # [T, s], in the order of the looks
    last = torch.stack([(query <= q).sum(0) for q in GRID], 1) - 1  # [s, G] the look that was the last by then
    known = best.T.gather(1, last.clamp(min=0))
    known = torch.where((last >= 0) & known.isfinite(), known, torch.nan)
    tail = seen.flip(0).cumsum(0).flip(0) > LATE  # a look with at least LATE others after it
    before = best.masked_fill(~(seen & tail), -torch.inf).amax(0)
    first = margin.gather(0, seen.int().argmax(0)[None])[0]
    whole = best[-1] - torch.where(before.isfinite(), first, torch.nan)
    late = torch.where(whole > 0, (best[-1] - before) / whole, 0.0)
    return known, torch.where(whole.isfinite() & (seen.sum(0) >= LEAST), late, torch.nan)
