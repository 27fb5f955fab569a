"""Trust region: steps as long as the linear model is to be trusted, towards the class that it puts nearest.

    t = argmin_k (z_y - z_k) / |grad (z_y - z_k)|_q at x;   z_{i+1} = clip(z_i + min(r, D_t) steepest_t)

D_t is the distance to the boundary of t as seen at z_i. After each step: if the gap between t and y fell by more than
90 % of what was predicted, r grows by `rate`, below 50 % it shrinks by it. Yao, Gholami, Xu, Keutzer, Mahoney 2019,
arXiv:1812.06371.

Differs from the paper: the radius and its bounds are fractions of the distance that the linear model predicts at x,
not numbers tuned to a data set; actual and predicted change are both those of the gap; a search on the segment from x
ends it; targeted, the target's margin. From the nearest success of an earlier attack it starts just inside of it.
Fails on: masked gradients, where the radius shrinks and the steps do not suffice.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.boundary import secant
from sparring.blocks.deepfool import NUDGE
from sparring.blocks.hyperplanes import nearest, rivals
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.norms import L2, Linf

MUCH, LITTLE = 0.9, 0.5
"the shares of a predicted change that make the radius grow and shrink"
BEYOND = 1.02
"times the length of a step: the last one has to cross"
INSIDE = 0.9
"where on the way to a success known already it starts"


@register(
    "trust-region",
    title="Trust region",
    sees="gradient",
    norms=(L2, Linf),
    aim="minimum",
    year=2018,
    paper="arXiv:1812.06371",
    aliases=("tr",),
    peers=("adv-lib",),
)
class TrustRegion(Attack):
    """Walk towards the nearest class in steps whose length adapts to how linear the model is (Yao et al. 2019).

    Args:
        steps: at most. radius, least, most: the first radius and its bounds, fractions of the predicted distance.
        rate: of the change of the radius; 1 = it is fixed. classes: how many may be the nearest.
        search: queries of the last search.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> result = sp.TrustRegion()(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), ("Linf", None))
    >>> round(result.distance.item(), 3)
    0.1
    """

    steps: PositiveInt = 100
    radius: PositiveFloat = 0.05
    least: PositiveFloat = 0.02
    most: PositiveFloat = 0.1
    rate: Annotated[float, Field(ge=1)] = 1.2
    classes: Annotated[int, Field(ge=2)] = 10
    search: PositiveInt = 4

    def run(self, bout: Bout) -> None:
        b, nudge = bout.child(0), NUDGE * bout.ball.width
        near = nearest(b, b.x, rivals(b, self.classes))
        z = b.x + INSIDE * (b.nearest_success[0] - b.x)
        row = _Row(z, near.rival[:, None], self.radius * near.away, near.away, near.gap, torch.zeros_like(near.gap))
        for _ in range(self.steps):
            plane = nearest(b, row.z, row.towards)
            row, plane = b.active(row, plane, done=plane.fooled | plane.away.isinf())
            if not len(b):
                break
            trust = (row.gap - plane.gap) / row.expected  # NaN at the first step: neither more nor less
            r = torch.where(trust > MUCH, row.r * self.rate, torch.where(trust < LITTLE, row.r / self.rate, row.r))
            r = torch.maximum(torch.minimum(r, self.most * row.unit), self.least * row.unit)
            length = torch.minimum(r, plane.away)
            z = b.ball.clip(b.ball.step(row.z, plane.slope, BEYOND * (length + nudge)))
            row = row._replace(z=z, r=r, gap=plane.gap, expected=plane.gap * length / nonzero(plane.away))
        b.submit(row.z)
        bout.active(done=bout.nearest_size.isinf())
        if len(bout):
            secant(bout, bout.nearest_success[0], self.search)


class _Row(NamedTuple):
    """The point, the class it goes to [b, 1], the radius and its unit, the last gap and by how much it should fall."""

    z: Tensor
    towards: Tensor
    r: Tensor
    unit: Tensor
    gap: Tensor
    expected: Tensor
