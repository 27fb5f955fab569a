"""DeepFool's walk from plane to plane until the boundary is crossed: all of DeepFool, a part of SuperDeepFool."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor

from sparring.blocks.boundary import fools
from sparring.blocks.hyperplanes import nearest
from sparring.bout import Bout

NUDGE = 1e-4
"times the width of the box, added to every step: without it, steps at the boundary itself shrink to nothing"


def deepfool_walk(bout: Bout, z: Tensor, classes: Tensor, steps: int, overshoot: float) -> tuple[Tensor, Tensor]:
    """Step to the nearest plane, and a little beyond, until the model is fooled; every row goes its own way.

    Args:
        z: [b, ...] the starts. classes: [b, m] whose planes count.

    Returns:
        For all rows of the bout, where they crossed (or ended), and the class of the last plane [b].
    """
    walk, at = copy(bout), torch.arange(len(bout), device=z.device)
    end, rival = z.clone(), classes[:, 0].clone()
    nudge = NUDGE * bout.ball.width
    for k in range(steps):
        if 0 < k <= classes.shape[1]:  # a look costs a query; without it, who has crossed pays m gradients in vain
            z, classes, at = walk.active(z, classes, at, done=fools(walk, z))
        if not len(walk):
            break
        plane = nearest(walk, z, classes)
        z, classes, at, plane = walk.active(z, classes, at, plane, done=plane.fooled | plane.away.isinf())
        if not len(walk):
            break
        z = walk.ball.clip(walk.ball.step(z, plane.slope, (1 + overshoot) * (plane.away + nudge)))
        end[at], rival[at] = z, plane.rival
    return end, rival
