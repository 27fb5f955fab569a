"""Auto-PGD under L1: sparse steps whose number of pixels adapts, on the exact L1 ball with its box.

    z_{k+1} = P(z_k + step * sign(top(grad)) / |sign(top(grad))|_1),   top: the s largest entries of the gradient

Every 4 % of the steps: s = (pixels changed by the best point) / 1.5; where that shrank, step = eps from the best point
again, elsewhere the step falls by 1.5 down to eps / 10. Run at 3 eps, 2 eps, then eps, each from the projected best
point of the one before. Croce & Hein 2021, "Mind the box", arXiv:2103.01208.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.apgd_linf_l2 import Best
from sparring.bout import Bout, LossFunction, View
from sparring.norms import per


class _State(NamedTuple):
    """One radius, per row.

    Attributes:
        z, g: the point and its gradient [b, ...]. best: the point with the highest loss.
        share: [b] of the pixels that a step moves. pixels: [b] how many the best point changed at the last checkpoint.
        step: [b] the L1 length of a step.
    """

    z: Tensor
    g: Tensor
    best: Best
    share: Tensor
    pixels: Tensor
    step: Tensor


def apgd_l1(bout: Bout, z: Tensor, steps: int, loss: LossFunction, view: View | None = None) -> Tensor:
    """Climb the loss under L1 from `z` [b, ...] with `steps` gradients a row; returns each row's best point."""
    first, second = math.ceil(0.3 * steps), math.ceil(0.3 * steps)
    stages = [(3.0, first), (2.0, second), (1.0, steps - first - second)]
    sparsity = torch.full_like(bout.eps, 0.2)
    for wide, count in stages:
        if count < 1:
            continue
        z = bout.ball.with_eps(wide * bout.eps).project(z)
        z, sparsity = _stage(bout, z, count, loss, view, wide, sparsity)
        if not len(bout):
            break
    return z


def apgd_l1_from(bout: Bout, z: Tensor, steps: int, loss: LossFunction, step: float) -> Tensor:
    """The same from points `z` of the ball that are good already: at eps alone, with first steps of `step` * eps."""
    changed = changed_pixels(z, bout.x).clamp(min=1) / z[0].numel()
    return _stage(bout, z, steps, loss, None, 1.0, changed / 1.5, step)[0]


def _stage(
    bout: Bout,
    z: Tensor,
    steps: int,
    loss: LossFunction,
    view: View | None,
    wide: float,
    sparsity: Tensor,
    step: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """One radius, `wide` * eps. `sparsity` [b]: the share of pixels that a step moves at first, `step` its length."""
    value, g = bout.value_and_grad(z, loss, view)
    features = z[0].numel()
    row = _State(
        z=z,
        g=g,
        best=Best(z, g, value),
        share=sparsity,
        pixels=sparsity * features * 1.5 if wide < 3 else torch.full_like(value, features),
        step=step * wide * bout.eps,
    )
    period = max(int(0.04 * steps), 1)
    for k in range(1, steps + 1):
        row = bout.active(row)
        if not len(bout):
            break
        ball = bout.ball.with_eps(wide * bout.eps)
        z = ball.project(row.z + per(row.step, row.z) * _sparse_sign(row.g, row.share))
        value, g = bout.value_and_grad(z, loss, view)
        row = row._replace(z=z, g=g, best=row.best.update(z, g, value))
        if k % period == 0:
            row = _adapt(row, ball)
    if view is not None:
        bout.submit(row.best.z)
    return row.best.z, row.share


def _sparse_sign(g: Tensor, share: Tensor) -> Tensor:
    """The signs of the largest entries of `g`, a `share` [b] of all, scaled to L1 size 1."""
    flat = g.flatten(1)
    ranked = flat.abs().sort(dim=1).values
    at = ((1 - share) * flat.shape[1]).long().clamp(0, flat.shape[1] - 1)
    sign = flat.sign() * (flat.abs() >= ranked.gather(1, at[:, None]))
    return (sign / sign.abs().sum(1, keepdim=True).clamp(min=1)).reshape(g.shape)


def changed_pixels(z: Tensor, x: Tensor) -> Tensor:
    """How many pixels of `z` differ from `x`, [b]: by more than rounding, which a projection leaves on some that it
    shrinks to nothing."""
    least = 32 * torch.finfo(z.dtype).eps * torch.maximum(z.abs(), x.abs()).flatten(1).amax(1)
    return ((z - x).abs() > per(least, z)).flatten(1).sum(1).to(z.dtype)


def _adapt(row: _State, ball: Ball) -> _State:
    """A checkpoint: fewer pixels and full steps where the best point uses fewer, shorter steps elsewhere."""
    pixels = changed_pixels(row.best.z, ball.x)
    sparser = pixels < 0.95 * row.pixels
    back = per(sparser, row.z)
    return row._replace(
        z=torch.where(back, row.best.z, row.z),
        g=torch.where(back, row.best.g, row.g),
        share=pixels / ball.x[0].numel() / 1.5,
        pixels=pixels,
        step=torch.where(sparser, ball.eps, torch.maximum(row.step / 1.5, ball.eps / 10)),
    )
