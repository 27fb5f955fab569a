"""Which wrong class is nearest: by logits, as papers have it, or by how far a linear model sees its boundary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor

from sparring.bout import Bout
from sparring.kernels import nonzero

Order = Literal["logits", "distance"]
SPARE = 2
"so many times the wanted classes are measured, likeliest first"


def targets(bout: Bout, count: int, order: Order = "logits") -> Iterator[Bout]:
    """One bout for each of `count` wrong classes, aimed at it, the most hopeful first; for the rows that still stand.

    Args:
        order: "logits" = likeliest first, free. "distance" = by (z_y - z_t) / |grad(z_y - z_t)|*, the distance to the
            boundary with class t in a linear model (|.|*: the dual norm), for a query and at most 2 * count gradients.
    """
    goal = bout.goal
    if order == "logits" or goal.y is None or goal.targeted or not len(bout):
        yield from bout.targets(count)
        return
    wrong = bout.clean_logits.scatter(1, goal.y[:, None], float("-inf"))
    classes = wrong.topk(min(SPARE * count, wrong.shape[1] - 1), 1).indices
    own = goal.y[:, None]

    def gaps(logits: Tensor) -> Tensor:
        return logits.gather(1, own) - logits.gather(1, classes)

    logits, slopes = bout.jacobian(bout.x, gaps, classes.shape[1])
    steep = torch.stack([bout.ball.norm.dual_size(slopes[:, k]) for k in range(slopes.shape[1])], 1)
    ranks = (gaps(logits) / nonzero(steep)).argsort(dim=1, stable=True)
    ranked = classes.gather(1, ranks)[:, :count]
    for rank, aim in enumerate(ranked.unbind(1)):
        part = bout.child(rank, goal.aim(aim))
        if not len(part):
            return
        yield part
