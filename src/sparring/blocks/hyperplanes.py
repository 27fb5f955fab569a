"""The boundary near a point as a linear model sees it: a hyperplane for each class that might win.

Near z, class k takes over where  gap_k = z_y - z_k  is made up for:  <slope_k, u - z> = gap_k.  DeepFool, FAB and
their kin differ only in where on the nearest of these planes they go.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.threat import Goal


class Plane(NamedTuple):
    """A hyperplane <slope, u - z> = gap near each point z; a tuple, so that rows leave it as any state.

    Attributes:
        gap: [b] what is missing to the boundary, < 0 beyond it. slope: [b, ...] what makes up for it.
        away: [b] how far the plane is from z in the norm of the bout, the box left alone; inf where there is no slope.
        rival: [b] the class behind it. fooled: bool [b], the model is fooled at z, by whatever class.
    """

    gap: Tensor
    slope: Tensor
    away: Tensor
    rival: Tensor
    fooled: Tensor


def rivals(bout: Bout, classes: int) -> Tensor:
    """[b, m] the classes whose boundaries count: of the `classes` likeliest on the clean image all but its own.

    Where the goal has a target, or is aimed at a class, that class alone.
    """
    goal, logits = bout.goal, bout.clean_logits
    if goal.t is not None:
        return goal.t[:, None]
    wrong = logits.scatter(1, goal.label[:, None], float("-inf"))
    return wrong.topk(max(min(classes, logits.shape[1]) - 1, 1), 1).indices


def nearest(bout: Bout, z: Tensor, classes: Tensor) -> Plane:
    """The nearest of the planes of `classes` [b, m], linearised at `z` [b, ...]: one query and m gradients."""

    def read(logits: Tensor) -> Tensor:
        return lead(logits, bout.goal, classes)

    logits, slopes = bout.jacobian(z, read, classes.shape[1])
    gaps = -read(logits).nan_to_num(0.0, 0.0, 0.0)
    steep = bout.ball.norm.dual_size(slopes.flatten(0, 1)).reshape(gaps.shape)
    away = torch.where(steep > 0, gaps.abs() / nonzero(steep), torch.inf)
    best = away.argmin(1, keepdim=True)
    row = torch.arange(len(best), device=best.device)
    gap, rival, away = (values.gather(1, best).squeeze(1) for values in (gaps, classes, away))
    return Plane(gap, slopes[row, best.squeeze(1)], away, rival, bout.goal.margin(logits) > 0)


def lead(logits: Tensor, goal: Goal, classes: Tensor) -> Tensor:
    """[b, m] by how much each of `classes` [b, m] beats the label; for a target, by how much it beats all others."""
    if goal.targeted:
        return goal.margin(logits)[:, None]
    return logits.gather(1, classes) - logits.gather(1, goal.label[:, None])


def meet(ball: Ball, z: Tensor, plane: Plane) -> Tensor:
    """The steps from `z` [b, ...] to the nearest points of the plane inside box and region; the best corner else."""
    moved = z - ball.x
    low, high = (ball.low - moved).clamp(max=0), (ball.high - moved).clamp(min=0)
    return ball.norm.to_hyperplane(plane.slope, plane.gap, low, high)


def seen_from(plane: Plane, z: Tensor, other: Tensor) -> Plane:
    """The same hyperplane, its gap measured from `other` [b, ...] instead of `z`."""
    return plane._replace(gap=plane.gap - (plane.slope * (other - z)).flatten(1).sum(1))
