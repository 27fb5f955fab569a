"""Auto-PGD in the version that fits the norm: from a random point at distance eps, or on from a point known."""

from __future__ import annotations

from torch import Tensor

from sparring.blocks.apgd import apgd_linf_l2
from sparring.blocks.apgd_l1 import apgd_l1, apgd_l1_from
from sparring.bout import Bout, LossFunction, View
from sparring.norms import L1


def climb(bout: Bout, steps: int, loss: LossFunction, view: View | None = None) -> Tensor:
    """The best points [b, ...] of one run of `steps` gradients a row, for the rows that still stand."""
    ascend = apgd_l1 if bout.ball.norm == L1 else apgd_linf_l2
    return ascend(bout, bout.ball.surface(bout.noise), steps, loss, view)


def apgd_from(bout: Bout, z: Tensor, steps: int, loss: LossFunction, step: float) -> Tensor:
    """The same from `z` [b, ...], points of the ball that are good already: no detour, first steps of step * eps."""
    if bout.ball.norm == L1:
        return apgd_l1_from(bout, z, steps, loss, step)
    return apgd_linf_l2(bout, z, steps, loss, step=step)
