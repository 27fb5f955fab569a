"""Many candidates of a large image: made and asked a group at a time, as all at once would not fit in memory."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.bout import Bout, LossFunction

GROUP = 2**21
"pixels of candidates that a row holds at once; not by the batch: a row is asked the same in any"


def losses_in_groups(
    bout: Bout, make: Callable[[slice], Tensor], count: int, loss: LossFunction, wanted: Tensor | None = None
) -> Tensor:
    """The losses of `count` candidates a row, [b, count]: as `Bout.candidate_losses` gives them, for the same queries.

    Args:
        make: the candidates [b, m, ...] of a slice of their numbers. wanted: bool [b, count], ask about these only.
    """
    size = max(1, GROUP // max(1, bout.x[0].numel()))
    parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
    return torch.cat(
        [bout.candidate_losses(make(part), loss, None if wanted is None else wanted[:, part]) for part in parts], 1
    )
