"""Many candidates of large images: made and asked a group at a time, as all at once would not fit in memory.

Groups are of rows, and of the candidates of a row. Neither changes what is asked, nor what a row draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from sparring.bout import Bout, LossFunction
from sparring.budget import BudgetSpent

GROUP = 2**21
"pixels of candidates that a row holds at once; not by the batch: a row is asked the same in any"
ROOM = 2**24
"pixels of candidates that all rows of a group hold at once"


def rows_in_groups(bout: Bout, candidates: int, rows: Tensor | None = None) -> Iterator[tuple[Tensor, Bout]]:
    """As `Bout.groups`, so many rows at a time as there is room for, with so many candidates each."""
    return bout.groups(max(1, ROOM // max(1, candidates * bout.x[0].numel())), rows)


def slices(bout: Bout, count: int) -> list[slice]:
    """The numbers of `count` candidates of a row, in parts that it can hold at once."""
    size = max(1, GROUP // max(1, bout.x[0].numel()))
    return [slice(start, min(start + size, count)) for start in range(0, count, size)]


def losses_in_groups(
    bout: Bout,
    make: Callable[[Tensor, slice], Tensor],
    count: int,
    loss: LossFunction,
    wanted: Tensor | None = None,
) -> Tensor:
    """The losses of `count` candidates a row, [b, count]: as `Bout.candidate_losses` gives them, for the same queries.

    Args:
        make: the candidates [g, m, ...] of some rows [g], by their numbers, and of a slice of candidates.
        wanted: bool [b, count], ask about these only.

    Raises:
        BudgetSpent: no row can pay for its next one.
    """
    parts, losses, spent = slices(bout, count), [], True
    most = max((part.stop - part.start for part in parts), default=0)
    for rows, group in rows_in_groups(bout, most):
        mine = None if wanted is None else wanted[rows]
        try:
            answers = [
                group.candidate_losses(make(rows, part), loss, None if mine is None else mine[:, part])
                for part in parts
            ]
            losses.append(torch.cat(answers, 1))
            spent = False
        except BudgetSpent:  # of this group; they leave, the others go on
            losses.append(loss(group.clean_logits, group.goal)[:, None].expand(-1, count))
    if spent:
        raise BudgetSpent
    return torch.cat(losses)
