"""SuperDeepFool, SDF(inf, 1): DeepFool until it crosses, then straight at the boundary found there, again and again.

    z~ = DeepFool(z);  w = unit grad (z_t - z_y)(z~);   z <- clip(z + <z~ - x, w> w),  until z fools;   then
    z <- clip(x + <z* - x, w> w),  z~ = DeepFool(z),  z* the nearest success, w the normal there;  last a search x -> z*

Abdolahpourrostam, Abroshan, Moosavi-Dezfooli 2023, arXiv:2303.12481. The first rule is that of the authors' code, the
second the paper's geometry: the foot of the perpendicular from x. The first alone stops well short of the minimum,
the second alone fails where gradients mislead (so does DeepFool, from which it starts); one after the other they find
less than either.

Differs from the paper: both rules, see above; the first walk looks at all classes, later ones at the class found
alone, which saves most gradients; searches on a segment interpolate the margin.
Fails on: masked gradients (many rounds, and far from the minimum).
"""

from __future__ import annotations

from copy import copy
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.boundary import fools, secant
from sparring.blocks.deepfool import deepfool_walk
from sparring.blocks.hyperplanes import rivals
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "superdeepfool",
    title="SuperDeepFool",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    year=2023,
    paper="arXiv:2303.12481",
    aliases=("sdf",),
    peers=("adv-lib",),
)
class SuperDeepFool(Attack):
    """DeepFool whose last step is turned to meet the boundary at a right angle (Abdolahpourrostam et al. 2023).

    Args:
        rounds: of the first rule, at most. refine: of the second. steps: of DeepFool in each of them, at most.
        search: queries on each segment. overshoot, classes: as for `DeepFool`.

    >>> import sparring as sp
    >>> sp.attack("sdf:refine=0").spec
    'superdeepfool:refine=0'
    """

    rounds: PositiveInt = 100
    refine: NonNegativeInt = 3
    steps: PositiveInt = 100
    search: PositiveInt = 4
    overshoot: NonNegativeFloat = 0.02
    classes: Annotated[int, Field(ge=2)] = 10

    def run(self, bout: Bout) -> None:
        b, at = copy(bout), torch.arange(len(bout), device=bout.x.device)
        crossed, known = bout.nearest_success
        z, classes, at = b.active(b.x, rivals(b, self.classes), at, done=known.isfinite())
        for _ in range(self.rounds):
            if not len(b):
                break
            end, _ = deepfool_walk(b, z, classes, self.steps, self.overshoot)
            foot, classes = _foot(b, z, end)
            crossed[at], stuck = foot, b.ball.norm.size(foot - z) == 0
            z, classes, at = b.active(foot, classes, at, done=fools(b, foot) | stuck)
        crossed = bout.active(crossed, done=bout.nearest_size.isinf())
        if len(bout):
            secant(bout, crossed, self.search)
        for _ in range(self.refine):
            if not len(bout):
                break
            z, classes = _foot(bout, bout.x, bout.nearest_success[0])
            end, _ = deepfool_walk(bout, z, classes, self.steps, self.overshoot)
            secant(bout, end, self.search)
            bout.active()


def _foot(bout: Bout, start: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
    """`start` moved along w, the unit normal of the boundary at `end`, by <end - x, w>; and the class behind it."""
    goal = bout.goal
    logits, slopes = bout.jacobian(end, lambda z: goal.margin(z)[:, None], 1)
    normal = bout.ball.steepest(slopes[:, 0])
    along = ((end - bout.x) * normal).flatten(1).sum(1)
    behind = logits.scatter(1, goal.label[:, None], float("-inf")).argmax(1, keepdim=True)
    return bout.ball.clip(start + bout.ball.column(along) * normal), behind
