"""Auto-PGD in the version that fits the norm: from a random point at distance eps, or on from a known point."""

from __future__ import annotations

from torch import Tensor

from sparring.blocks.apgd_l1 import apgd_l1, apgd_l1_from
from sparring.blocks.apgd_linf_l2 import apgd_linf_l2
from sparring.bout import Bout, LossFunction, View
from sparring.norms import L1


def apgd(bout: Bout, steps: int, loss: LossFunction, view: View | None = None) -> Tensor:
    """Run Auto-PGD once from a random start: at most `steps` gradients a row.

    Returns:
        The points with the highest loss, [b, ...], of the rows that are still active.
    """
    kernel = apgd_l1 if bout.ball.norm == L1 else apgd_linf_l2
    return kernel(bout, bout.ball.surface(bout.noise), steps, loss, view)


def apgd_from(bout: Bout, z: Tensor, steps: int, loss: LossFunction, step: float) -> Tensor:
    """Run Auto-PGD from good points `z` [b, ...] of the ball, with first steps of `step` * eps (L1: at eps alone)."""
    if bout.ball.norm == L1:
        return apgd_l1_from(bout, z, steps, loss, step)
    return apgd_linf_l2(bout, z, steps, loss, step=step)
