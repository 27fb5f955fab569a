"""Several directions at once, turned away from the one to the boundary point by more and more."""

from __future__ import annotations

from torch import Tensor

from sparring.blocks.decision.ask import clip_many, columns
from sparring.blocks.decision.bisect import Path
from sparring.blocks.decision.normals import unit
from sparring.bout import Bout


def fan(bout: Bout, z: Tensor, g: Tensor, turns: Tensor) -> Path:
    """Rays from the clean image: towards `z` [b, ...], turned towards `g` [b, ...] by `turns` [b, m] before scaling.

    Radii [b] give points [b, m, ...].
    """
    raw = unit(z - bout.x)[:, None] + columns(turns, z[:, None]) * g[:, None]
    rays = unit(raw.flatten(0, 1)).reshape(raw.shape)
    return lambda radius: clip_many(bout, bout.x[:, None] + bout.ball.column(radius)[:, None] * rays)
