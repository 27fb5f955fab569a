"""The search for the constant c between distance and penalty, for each row: what C&W, EAD, L-BFGS and OptMargin share.

A run minimises `distance + c * missing` with one c a row. If that c held the row on the far side, a smaller one is
tried, else a larger one (`blocks.penalty.bisect`). Each run goes on from the nearest point so far that was enough.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparring.blocks.penalty.bisect import Bisect
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.losses import margin
from sparring.norms import L2


class Ledger:
    """What becomes of the rows of one run, in the order in which they began it, whoever has left since.

    The referee knows which points fool. This is about those that do so with confidence, or with all around them, and
    about the nearest by the measure that is minimised.

    Args:
        z: [b, ...] where the run begins. size: [b] how far that is if it was enough, else infinite.

    Attributes:
        z, size: the nearest point so far that is enough; while there is none, the last, and infinity.
        held: bool [b], the last point was enough. works: bool [b], c was: it pulled back a row that had been short.
        at: the rows that are still in the run, by number; it goes through `Bout.standing` as any state.
    """

    def __init__(self, z: Tensor, size: Tensor) -> None:
        self.z, self.size = z.clone(), size.clone()
        self.held = torch.ones_like(size, dtype=torch.bool)
        self.works = torch.zeros_like(self.held)

    def note(self, at: Tensor, z: Tensor, size: Tensor, enough: Tensor) -> None:
        """The rows `at` were shown points `z` of this size; were they enough?"""
        take = (enough & (size < self.size[at])) | self.size[at].isinf()
        rows = at[take]
        self.z[rows], self.size[rows] = z[take], torch.where(enough, size, torch.inf)[take]
        self.works[at] |= enough & ~self.held[at]
        self.held[at] = enough

    @property
    def outcome(self) -> tuple[Tensor, Tensor, Tensor]:
        """(c works, nearest points, their sizes): c does as well if the row was held to the end."""
        return self.works | self.held, self.z, self.size


Run = Callable[[Bout, Tensor, Tensor, Tensor, Any], tuple[Tensor, Tensor, Tensor]]
"""One run: (bout, where to begin [b, ...], its size [b], c [b], extra) -> the outcome of its `Ledger`."""


def search_constant(bout: Bout, first: Tensor, rounds: int, run: Run, extra: Any = None) -> None:
    """Runs with constants c [b], beginning with `first`: smaller where one was enough, larger where it was not.

    The first begins at the nearest success of this call, if there is one, else at the image; the others where the one
    before left its nearest point. That point is handed over after each, so that a budget spent later loses nothing.

    Args:
        extra: a nest of tensors [b, ...] that the runs need.
    """
    nothing = torch.full_like(first, torch.inf)
    state = Bisect.start(first, 0.0)._replace(value=first), bout.nearest_success[0], nothing, extra
    for k in range(rounds):
        c, z, size, extra = bout.active(*state)
        if not len(bout):
            break
        works, z, size = run(bout.child(k), z, size, c.value, extra)
        state = bout.active(c.tell(works), z, size, extra)
        bout.submit(state[1])


def fair(gap: Tensor, g: Tensor, times: float = 3.0) -> Tensor:
    """[b] so many `times` the c that a linear model would need, 2 * gap / |g|_2^2; 1 where there is no gradient.

    Args:
        gap: [b] how much is missing. g: [b, ...] the gradient of the margin.
    """
    c = 2 * times * gap / L2.size(g).square()
    return torch.where((c > 0) & c.isfinite(), c, 1.0)


def first_constant(bout: Bout, c: float | None, times: float = 3.0) -> Tensor:
    """[b] `c` for every row; where it is None, what is fair at each image: one query and one gradient.

    Logits that are a hundred times larger, as those of a distilled net, have a c that is a hundred times smaller: the
    search is the same.
    """
    return torch.full_like(bout.eps, c) if c is not None else first_look(bout, None, times)[0]


def first_look(bout: Bout, c: float | None, times: float = 3.0) -> tuple[Tensor, Tensor]:
    """The same, and how far a linear model sees the boundary: [b], for one query and one gradient in any case."""
    gap, g = bout.value_and_grad(bout.x, margin)
    away = -gap / nonzero(bout.ball.norm.dual_size(g))
    first = fair(-gap, g, times) if c is None else torch.full_like(bout.eps, c)
    return first, away.nan_to_num(torch.inf)
