"""Hot/Cold: walk along one gradient that heats a wrong class and cools the true one, until the class changes.

    eta = d/dx (|z_hot| * z_hot - |z_cold| * z_cold),  the factors held fixed, scaled to a largest entry of 1
    x' = clip(x + s * eta) for the smallest s of a scan that fools

Every hot class gives another direction, hence diverse adversarial images. `iterated` takes the gradient anew at each
step. Rozsa, Rudd, Boult 2016, arXiv:1605.01775.

Differs from the paper: logits are taken relative to their mean, which softmax does not see but the factors do; a
factor is at least 1e-6, or a hot class with a logit of 0 would not count; rounding to 8 bits is the threat's
(levels=256). Success along the line is not monotone in s, so it is scanned and not bisected.
Fails on: nets that bend within the first steps: one direction in four ends nowhere, `iterated` finds its way.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.kernels import unit_peak
from sparring.norms import L2, Linf
from sparring.threat import Goal

LEAST = 1e-6
"the smallest factor of a logit"


@register(
    "hot-cold",
    title="Hot-Cold",
    sees="gradient",
    norms=(L2, Linf),
    aim="minimum",
    year=2016,
    paper="arXiv:1605.01775",
    aliases=("hotcold",),
    survey="Hot-Cold Attack [152]",
)
class HotCold(Attack):
    """A line scan along the gradient between a hot and a cold class (Rozsa et al. 2016).

    Args:
        hot: which wrong class to heat, 1 = the likeliest on the clean image; a targeted goal heats its target.
        steps: of the scan. reach: how far it goes, as a fraction of the box, for the pixel that moves most.
        iterated: take the gradient anew at each step.
    """

    hot: PositiveInt = 1
    steps: PositiveInt = 200
    reach: PositiveFloat = 1.0
    iterated: bool = False

    def run(self, bout: Bout) -> None:
        *_, b = bout.targets(self.hot)
        step = self.reach * b.ball.width / self.steps
        z = b.x
        path = _direction(b, z)
        for _ in range(self.steps):
            ahead = b.ball.clip(z + step * path)
            size = b.ball.distance(ahead)  # it only grows along the line
            stuck = (ahead == z).flatten(1).all(1)
            z, path = b.active(ahead, path, done=stuck | (size > b.eps) | (size >= b.nearest_size))
            if not len(b):
                break
            if self.iterated:
                path = _direction(b, z)
            else:
                b.submit(z)


def _direction(bout: Bout, z: Tensor) -> Tensor:
    """Which way is hot: among the pixels that may change, the largest entry is 1."""
    slope = bout.grad(z, _pull)
    return unit_peak(slope.where(bout.ball.high > bout.ball.low, 0))


def _pull(logits: Tensor, goal: Goal) -> Tensor:
    """What the direction is the gradient of: [b]."""
    assert goal.t is not None
    logits = logits - logits.mean(1, keepdim=True)
    hot = logits.gather(1, goal.t[:, None])
    cold = logits.scatter(1, goal.t[:, None], float("-inf")).amax(1, keepdim=True)
    heat, chill = (values.detach().abs().clamp(min=LEAST) for values in (hot, cold))
    return (heat * hot - chill * cold).squeeze(1)
