"""One question a row, for some of the rows; and many candidates of a row, kept in the box."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.bout import Bout


def ask(bout: Bout, z: Tensor, wanted: Tensor | None = None) -> Tensor:
    """bool [b]: do the points `z` [b, ...] fool? Rows that are not `wanted` (bool [b]) pay nothing: False."""
    return bout.fooled_many(z[:, None], None if wanted is None else wanted[:, None])[:, 0]


def clip_many(bout: Bout, z: Tensor) -> Tensor:
    """As `ball.clip`, for many points of each row: [b, m, ...]."""
    free = bout.ball.free
    inside = z if free is None else torch.where(free[:, None], z, bout.x[:, None])
    return inside.clamp(*bout.ball.box)


def columns(values: Tensor, like: Tensor) -> Tensor:
    """[b, m] values shaped to multiply candidates [b, m, ...]."""
    return values.reshape(*values.shape, *[1] * (like.dim() - 2))


def pick(points: Tensor, at: Tensor) -> Tensor:
    """Candidate number `at` [b] of each row: [b, m, ...] -> [b, ...]."""
    return points[torch.arange(len(points), device=points.device), at]


def first(hits: Tensor) -> Tensor:
    """The number of the first True of each row, 0 where there is none: bool [b, m] -> [b]."""
    return hits.to(torch.uint8).argmax(1)
