"""CGBA: estimate the normal at the boundary point, then find the boundary again on a half circle bent towards it.

    z <- x + r (cos a u + sin a w),  cos a = r / |z - x|:   the smallest r that fools, by bisection

with u towards z and w the part of the normal across u. The half circle runs from z, which fools, to the clean image,
so it always meets the boundary, however that is curved, and nearer than z. Needs predicted classes only.
Reza, Rahmati, Wu & Dai 2023, arXiv:2308.03163.

Differs from the paper: the radius is bisected, not the angle; probes are a fraction of the distance long. Its variant
for targets is `cgba-h`.
Fails on: what HopSkipJump fails on; targets behind strongly curved boundaries.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import arc
from sparring.blocks.decision.bisect import follow
from sparring.blocks.decision.normals import Frequencies, affordable, normal
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "cgba",
    title="CGBA",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2023,
    paper="arXiv:2308.03163",
    random=True,
)
class CGBA(Attack):
    """Half circles between the boundary and the image, bent by estimated normals (Reza et al. 2023).

    Args:
        queries: for each sample, the start included. samples: probes in step t are this times sqrt(t).
        probe: the length of a probe, as a fraction of the distance. frequencies: the share of each side's cosine
            frequencies that probes are made of; 1 = all, None = half, but at least 14 of a side.
        tolerance: of the bisection, as a fraction of the radius.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 30
    probe: PositiveFloat = 0.02
    frequencies: Frequencies | None = None
    tolerance: PositiveFloat = 1e-3

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, self.tolerance)
        for t in range(1, self.queries + 1):
            z = b.active(z)
            if not len(b):
                return
            count = int(self.samples * t**0.5)
            asked = affordable(b, count, self.tolerance)
            g = normal(b, z, self.probe, count, self.frequencies, tag=t, asked=asked)
            z = follow(b, z, arc(b.ball, z, g), b.ball.distance(z), self.tolerance)
