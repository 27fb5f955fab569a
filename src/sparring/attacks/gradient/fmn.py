"""FMN: climb the margin in a ball whose radius follows the boundary: smaller after each hit, larger after each miss.

    z_{k+1} = P_eps(z_k + a_k * g / |g|_2),   g = grad margin,   a_k: cosine from `alpha` to `alpha` / 100
    eps: |z_k - x| + (distance to the boundary of the linear model) while nothing is found;
         then min((1 - c_k) eps, nearest so far) after a hit, (1 + c_k) eps after a miss; L0: by at least one pixel

Pintor, Roli, Brendel & Biggio 2021, arXiv:2102.12827. It starts from the image, or from what the bout has found before.

Differs from the paper: P is exact on ball and box together (a known port projects L2 onto the sphere, another not at
all); the linear model knows the box, and serves L0 too; rows that have found nothing after `patience` steps go on
from an adversarial start, the paper's other initialisation, paid for with their last steps. Steps of 10 for L0
and Linf, whose balls are wide.
Fails on: L0 on nets whose gradient is flat near the image.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.fallback import Fallback
from sparring.blocks.radius import boundary, furthest_corner, grown, shrunk
from sparring.blocks.schedules import cosine
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L0, L1, L2, Linf

OVERSHOOT = 1.02  # on a linear net, the boundary itself would not fool
FIRST_STEP = {L0: 10.0, L1: 1.0, L2: 1.0, Linf: 10.0}


@register(
    "fmn",
    title="FMN",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    aim="minimum",
    year=2021,
    paper="arXiv:2102.12827",
    aliases=("fast-minimum-norm",),
    peers=("adv-lib", "foolbox"),
)
class FMN(Attack):
    """Projected gradient ascent in a ball that adapts (Pintor et al. 2021).

    Args:
        steps: points that it looks at, a gradient at each but the last.
        alpha: the L2 length of the first step, in widths of the box; None = 1, under L0 and Linf 10.
        gamma: the first rate at which the radius changes, on its way to 0.001.
        patience: steps without a hit before the adversarial start.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.8, 0.4]]), torch.tensor([0])
    >>> [round(float(sp.FMN()(net, x, y, sp.Threat(norm)).distance), 2) for norm in ("L0", "L1", "L2", "Linf")]
    [1.0, 0.4, 0.28, 0.2]
    """

    steps: PositiveInt = 300
    alpha: PositiveFloat | None = None
    gamma: PositiveFloat = 0.05
    patience: PositiveInt = 12

    def run(self, bout: Bout) -> Tensor | None:
        ball = bout.ball
        length = (self.alpha or FIRST_STEP[ball.norm]) * ball.width
        z, size = bout.nearest_success
        eps = torch.where(size.isfinite(), size, 0)
        most = furthest_corner(ball)
        g = torch.zeros_like(z)
        fallback = Fallback.plan(bout, self.steps - 1, self.patience)
        for k in range(self.steps - 1):
            if fallback.due(k):
                z, _, fallback = fallback.restart(bout, z, g)
                eps = torch.maximum(eps, bout.ball.distance(z))
            gain, g = bout.value_and_grad(z, margin)
            z, eps, most, fallback, gain, g = bout.active(z, eps, most, fallback, gain, g, done=fallback.spent(k))
            if not len(bout):
                return None
            rate = cosine(k, self.steps, self.gamma, 0.001)
            size = bout.nearest_size
            ball, lost = bout.ball.with_eps(eps), size == torch.inf
            missed = grown(ball, rate)
            if bool(lost.any()):
                missed = torch.where(lost, OVERSHOOT * boundary(ball, z, -gain.nan_to_num(), g, lost), missed)
            eps = torch.where(gain > 0, torch.minimum(shrunk(ball, rate), size), missed).clamp_(max=most)
            way = L2.steepest(g)
            torch.add(z, way, alpha=cosine(k, self.steps, length, length / 100), out=way)
            z = bout.ball.with_eps(eps).project(way)
        return z
