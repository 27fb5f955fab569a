"""DDN: step along the gradient, then rescale to a radius that shrinks after each hit and grows after each miss.

    d = z_k - x + a_k * g / |g|_2,   g = grad L;   r_{k+1} = r_k * (1 - gamma after a hit, 1 + gamma after a miss)
    z_{k+1} = clip(x + r_{k+1} * d / |d|_2),   a_k: cosine from 1 to 0.01

Rony, Hafemann, Oliveira, Ben Ayed, Sabourin & Granger 2019, arXiv:1811.09600. It starts from the image with r = 1, or
from what the bout has found before and its radius.

Differs from the paper: L = log(p / (1 - p)) of the class in question, which has the direction of the cross-entropy's
gradient and never saturates; lengths are in widths of the box; rows that have found nothing after a quarter of the
steps go on from an adversarial start, paid for with their last steps; quantising is up to the threat (`levels`).
Fails on: nets whose gradient is flat near the image (it gets there late).
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.fallback import Fallback
from sparring.blocks.radius import furthest_corner
from sparring.blocks.schedules import cosine
from sparring.bout import Bout
from sparring.losses import log_odds
from sparring.norms import L2


@register(
    "ddn",
    title="DDN",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    year=2018,
    paper="arXiv:1811.09600",
    aliases=("decoupled-direction-norm",),
    peers=("adv-lib", "foolbox"),
)
class DDN(Attack):
    """Direction and norm, decoupled (Rony et al. 2019).

    Args:
        steps: points that it looks at, a gradient at each but the last.
        gamma: the rate at which the radius changes. radius: the first one, in widths of the box.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.8, 0.4]]), torch.tensor([0])
    >>> round(float(sp.DDN(steps=100)(net, x, y, sp.Threat("L2")).distance), 2)
    0.28
    """

    steps: PositiveInt = 300
    gamma: PositiveFloat = 0.05
    radius: PositiveFloat = 1.0

    def run(self, bout: Bout) -> Tensor | None:
        width = bout.ball.width
        z, size = bout.nearest_success
        r = size.where(size.isfinite(), self.radius * width)
        most = furthest_corner(bout.ball)
        g = torch.zeros_like(z)
        fallback = Fallback.plan(bout, self.steps - 1, patience=self.steps // 4)
        for k in range(self.steps - 1):
            if fallback.due(k):
                z, _, fallback = fallback.restart(bout, z, g)
                r = torch.maximum(r, bout.ball.distance(z))
            logits, slopes = bout.jacobian(z, lambda logits: log_odds(logits, bout.goal)[:, None], 1)
            hit, g = bout.margin(logits) > 0, slopes[:, 0]
            z, r, most, fallback, hit, g = bout.active(z, r, most, fallback, hit, g, done=fallback.spent(k))
            if not len(bout):
                return None
            ball, a = bout.ball, cosine(k, self.steps, width, 0.01 * width)
            r = torch.minimum(torch.where(hit, 1 - self.gamma, 1 + self.gamma) * r, most)
            d = (z - ball.x).add_(L2.steepest(g), alpha=a)
            z = ball.clip(L2.steepest(d).mul_(ball.column(r)).add_(ball.x))
        return z
