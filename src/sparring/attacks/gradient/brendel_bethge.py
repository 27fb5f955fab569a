"""Brendel-Bethge: from a point that fools, along the boundary to where it is nearest.

    u_{k+1} = argmin |u|_p  so that  <b_k, u - u_k> = c_k,  |u - u_k|_2 <= r_k,  x + u in the box
    b_k: the gradient of the margin at x + u_k;   c_k: what is missing to the boundary, and a little more

Brendel, Rauber, Kuemmerer, Ustyuzhaninov & Bethge 2019, arXiv:1907.01003. Each step is solved exactly, see
`blocks/boundary_step.py`, for all rows at once. It looks for its way on the far side of walls around the image, so it
is at its best on nets that mask their gradients.

Differs from the paper: it starts from what the bout has found before, or else from far points along the gradient,
plain pictures or stripes, not from images of other classes; r_k is a share of the L2 size of the start and shrinks
geometrically, in a tenth of the steps; c_k aims beyond the boundary by what the last steps fell short, as a curved
boundary would else keep all points on the wrong side; the gradients b_k have a momentum; under L0 small pixels are
pressed hardest instead of counted, as a small step cannot undo a whole pixel. Known ports solve the steps row by row,
and one takes a radius that depends on the size of the batch.
Fails on: images for which no point is found to start from; rows whose gradient is zero at the start stay there.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.boundary import HALVINGS, bisect_radius
from sparring.blocks.boundary_step import boundary_step
from sparring.blocks.decision.starts import sign_rays
from sparring.blocks.fallback import adversarial_start
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L0, L1, L2, Linf

OVERSHOOT = 0.02
"a step aims at this share of the margin from the boundary, on the side that fools"
LEAD = 1.2
"times what the last steps fell short of their aim, it aims beyond"
FLOOR = 0.1
"under L0, the size of a pixel that counts half, in widths of the box"
FIRST_RADIUS = {L0: 1.0, L1: 0.5, L2: 0.5, Linf: 0.5}


@register(
    "brendel-bethge",
    title="Brendel-Bethge",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    aim="minimum",
    year=2019,
    paper="arXiv:1907.01003",
    aliases=("bb",),
    peers=("foolbox", "art"),
)
class BrendelBethge(Attack):
    """A walk along the boundary by exact steps in a trust region (Brendel et al. 2019).

    Args:
        steps: of a query and a gradient each; the start takes the place of the last ones.
        radius: of the first trust region, in L2 sizes of the start; None = 0.5, under L0 1.
        shrink: the last radius, as a share of the first. momentum: of the slopes of the margin, from step to step.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.8, 0.4]]), torch.tensor([0])
    >>> [round(float(sp.attack("bb")(net, x, y, sp.Threat(norm)).distance), 2) for norm in ("L0", "L1", "L2", "Linf")]
    [1.0, 0.4, 0.28, 0.2]
    """

    steps: PositiveInt = 100
    radius: PositiveFloat | None = None
    shrink: Annotated[float, Field(gt=0, le=1)] = 0.001
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.7

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=2 * self.steps - 1)
        z = _start(b)
        first = (self.radius or FIRST_RADIUS[b.ball.norm]) * L2.size(z - b.x)
        slope, short, aim = torch.zeros_like(z), torch.zeros_like(first), torch.full_like(first, -torch.inf)
        for k in range(self.steps):
            if not len(b):
                return
            gain, g = b.value_and_grad(z, margin)
            slope = g.lerp(slope, self.momentum) if k else g
            flat = L2.size(slope) == 0
            z, first, slope, short, aim, gain, g = b.active(z, first, slope, short, aim, gain, g, done=flat)
            short = torch.maximum(aim - gain, short / 2).clamp(min=0)
            gap = LEAD * short - gain + OVERSHOOT * gain.abs()
            d, ball, r = z - b.x, b.ball, first * self.shrink ** (k / self.steps)
            u = boundary_step(ball.norm, d, slope, gap, r, ball.low, ball.high, FLOOR * ball.width)
            aim = gain + (g * (u - d)).flatten(1).sum(1)
            z = ball.clip(ball.x + u)


def _start(bout: Bout) -> Tensor:
    """Points [b, ...] that fool, near the boundary, however far away; rows for which none is found leave the bout."""
    z, size = bout.nearest_success
    found, part = size.isfinite(), bout.child(0)
    at = part.active(torch.arange(len(z), device=z.device), done=found)
    if len(part):
        at, g = part.active(at, part.grad(part.x, margin))
    if len(part):
        near, _ = adversarial_start(part, part.x, g, part.nearest_size.isfinite())
        hit = (near != part.x).flatten(1).any(1)
        z, found = z.index_copy(0, at, near), found.index_copy(0, at, hit)
        at = part.active(at, done=hit)
    if len(part):
        signs, radius, hit = sign_rays(part)
        at, signs, radius = part.active(at, signs, radius, done=~hit)
        if len(part):
            near = bisect_radius(part, part.ball.clip(part.x + part.ball.column(radius) * signs), HALVINGS)
            z, found = z.index_copy(0, at, near), found.index_fill(0, at, True)
    return bout.active(z, done=~found)  # type: ignore[no-any-return]
