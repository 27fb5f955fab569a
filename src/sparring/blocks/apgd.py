"""Auto-PGD: gradient ascent with momentum that halves its own step when a run stops paying.

    v = P(z_k + step * steepest(grad));   z_{k+1} = P(z_k + 0.75 (v - z_k) + 0.25 (z_k - z_{k-1}))

At checkpoints, each sample for itself: if fewer than 75 % of the steps since the last one raised its loss, or neither
its step nor its best loss changed, halve the step and go on from its best point. Croce & Hein 2020, arXiv:2003.01690.
The L1 version is in `blocks.apgd_l1`.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from sparring.bout import Bout, LossFunction, View
from sparring.norms import per


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
    """Climb the loss from `z` [b, ...] with `steps` gradients or fewer a row; returns each row's best point.

    `step`: the length of the first step as a fraction of eps; small from points that are good already.
    """
    value, g = bout.value_and_grad(z, loss, view)
    row = {
        "z": z, "before": z, "g": g, "value": value,
        "best": z, "best_g": g, "best_value": value, "checked_value": value,
        "step": step * bout.eps, "rises": torch.zeros_like(value), "halved": torch.ones_like(value, dtype=torch.bool),
    }  # fmt: skip
    periods = checkpoints(steps)
    period, age = next(periods), 0
    for k in range(steps):
        row = bout.active(row)
        if not len(bout):
            break
        ball, z = bout.ball, row["z"]
        ahead = ball.project(ball.step(z, row["g"], row["step"]))
        keep = 0.75 if k else 1.0
        row["z"] = ball.project(z + keep * (ahead - z) + (1 - keep) * (z - row["before"]))
        row["before"] = z
        if k == steps - 1:
            break  # the last point needs no gradient: it is judged by the visit below
        value, row["g"] = bout.value_and_grad(row["z"], loss, view)
        row["rises"] = row["rises"] + (value > row["value"])
        row["value"] = value
        remember_best(row)
        age += 1
        if age == period:
            _halve(row, period)
            period, age = next(periods), 0
    bout.submit(row["z"])
    if view is not None:  # what was shown on the way were views of the points: the best has not been judged yet
        bout.submit(row["best"])
    return row["best"]


def remember_best(row: dict[str, Tensor]) -> None:
    """Where the loss rose above its best: keep the point, its gradient and its loss."""
    up = row["value"] > row["best_value"]
    take = per(up, row["z"])
    row["best"] = torch.where(take, row["z"], row["best"])
    row["best_g"] = torch.where(take, row["g"], row["best_g"])
    row["best_value"] = torch.where(up, row["value"], row["best_value"])


def _halve(row: dict[str, Tensor], period: int) -> None:
    """A checkpoint: rows that oscillate or stand still take half steps from their best point."""
    oscillates = row["rises"] <= 0.75 * period
    stuck = ~row["halved"] & (row["checked_value"] >= row["best_value"])
    halve = oscillates | stuck
    row["halved"], row["checked_value"] = halve, row["best_value"]
    row["rises"] = torch.zeros_like(row["rises"])
    row["step"] = torch.where(halve, row["step"] / 2, row["step"])
    back = per(halve, row["z"])
    row["z"] = torch.where(back, row["best"], row["z"])
    row["g"] = torch.where(back, row["best_g"], row["g"])
