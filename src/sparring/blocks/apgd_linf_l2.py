"""Auto-PGD under Linf and L2: gradient ascent with momentum that halves its own step when the loss stops rising.

    v = P(z_k + step * steepest(grad));   z_{k+1} = P(z_k + 0.75 (v - z_k) + 0.25 (z_k - z_{k-1}))

At checkpoints, each sample for itself: if fewer than 75 % of the steps since the last one raised its loss, or neither
its step nor its best loss changed, halve the step and go on from its best point. Croce & Hein 2020, arXiv:2003.01690.
The L1 version is in `blocks.apgd_l1`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.bout import Bout, LossFunction, View
from sparring.norms import per


class Best(NamedTuple):
    """The point with the highest loss so far, per row: [b, ...], its gradient and its loss [b]."""

    z: Tensor
    g: Tensor
    value: Tensor

    def update(self, z: Tensor, g: Tensor, value: Tensor) -> Best:
        """Take the new point where its loss is higher."""
        higher = value > self.value
        take = per(higher, z)
        return Best(torch.where(take, z, self.z), torch.where(take, g, self.g), torch.where(higher, value, self.value))


class _State(NamedTuple):
    """One run, per row.

    Attributes:
        z, before: this point and the last one [b, ...]. g, value: gradient and loss at `z`.
        best: the point with the highest loss. checked: [b] its loss at the last checkpoint.
        step: [b] the length of a step. rises: [b] how many steps since the checkpoint raised the loss.
        halved: bool [b], the last checkpoint halved the step.
    """

    z: Tensor
    before: Tensor
    g: Tensor
    value: Tensor
    best: Best
    checked: Tensor
    step: Tensor
    rises: Tensor
    halved: Tensor


def checkpoints(steps: int) -> Iterator[int]:
    """How many steps each period between two checks lasts: 22 % of all, then 3 % less each time, at least 6 %.

    >>> from itertools import islice
    >>> list(islice(checkpoints(100), 8))
    [22, 19, 16, 13, 10, 7, 6, 6]
    """
    period, shorter, shortest = (max(int(share * steps), 1) for share in (0.22, 0.03, 0.06))
    while True:
        yield period
        period = max(period - shorter, shortest)


def apgd_linf_l2(
    bout: Bout, z: Tensor, steps: int, loss: LossFunction, view: View | None = None, step: float = 2.0
) -> Tensor:
    """Climb the loss from `z` [b, ...] with at most `steps` gradients a row; return each row's best point.

    Args:
        step: the length of the first step as a fraction of eps; small where `z` is good already.
    """
    value, g = bout.value_and_grad(z, loss, view)
    row = _State(
        z=z,
        before=z,
        g=g,
        value=value,
        best=Best(z, g, value),
        checked=value,
        step=step * bout.eps,
        rises=torch.zeros_like(value),
        halved=torch.ones_like(value, dtype=torch.bool),
    )
    periods = checkpoints(steps)
    period = next(periods)
    age = 0
    for k in range(steps):
        row = bout.active(row)
        if not len(bout):
            break
        ball, z = bout.ball, row.z
        ahead = ball.project(ball.step(z, row.g, row.step))
        keep = 0.75 if k else 1.0
        row = row._replace(z=ball.project(z + keep * (ahead - z) + (1 - keep) * (z - row.before)), before=z)
        if k == steps - 1:
            break  # the last point needs no gradient: `submit` below judges it
        value, g = bout.value_and_grad(row.z, loss, view)
        rises = row.rises + (value > row.value)
        row = row._replace(g=g, value=value, rises=rises, best=row.best.update(row.z, g, value))
        age += 1
        if age == period:
            row = _checkpoint(row, period)
            period = next(periods)
            age = 0
    bout.submit(row.z)
    if view is not None:  # the model saw views of the points only: the best one has not been judged yet
        bout.submit(row.best.z)
    return row.best.z


def _checkpoint(row: _State, period: int) -> _State:
    """Halve the step of rows that oscillate or are stuck, and send them back to their best point."""
    oscillates = row.rises <= 0.75 * period
    stuck = ~row.halved & (row.checked >= row.best.value)
    halve = oscillates | stuck
    back = per(halve, row.z)
    return row._replace(
        z=torch.where(back, row.best.z, row.z),
        g=torch.where(back, row.best.g, row.g),
        checked=row.best.value,
        step=torch.where(halve, row.step / 2, row.step),
        rises=torch.zeros_like(row.rises),
        halved=halve,
    )
