"""Tangent attack: HopSkipJump, but each jump goes to where a line from the clean image touches a half ball.

    z <- the tangent point of the half ball of radius |z - x| / sqrt(t) on the side of the normal;   bisect to x

Needs predicted classes only. Of all points of the half ball, that is the one from which the way back to the clean image
meets a flat boundary nearest to it. Ma, Guo, Chen, Yong & Zhu 2021, arXiv:2111.07492.

Differs from the paper: round half balls only (no G-TA); probes and tolerances as in `hopskipjump`.
Fails on: what HopSkipJump fails on; strongly curved boundaries.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import tangent
from sparring.blocks.decision.bisect import to_boundary
from sparring.blocks.decision.jumps import land
from sparring.blocks.decision.normals import Frequencies, affordable, normal
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "tangent",
    title="Tangent",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2021,
    paper="arXiv:2111.07492",
    aliases=("tangent-attack",),
    random=True,
)
class Tangent(Attack):
    """HopSkipJump with jumps to tangent points (Ma et al. 2021).

    Args:
        queries: for each sample, the start included. samples: probes in step t are this times sqrt(t).
        probe: the length of a probe, as a fraction of the distance. frequencies: the share of each side's cosine
            frequencies that probes are made of; 1 = all, None = half, but at least 14 of a side.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 100
    probe: PositiveFloat = 0.02
    frequencies: Frequencies | None = 1.0

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        tolerance = self.probe / max(1, b.x[0].numel()) ** 0.5
        z = near_start(b, tolerance)
        for t in range(1, self.queries + 1):
            z = b.active(z)
            if not len(b):
                return
            count = int(self.samples * t**0.5)
            asked = affordable(b, count, tolerance)
            g = normal(b, z, self.probe, count, self.frequencies, tag=t, asked=asked)
            far, hit = land(b, z, tangent(b.ball, z, g), b.ball.distance(z) / t**0.5)
            z = to_boundary(b, far, tolerance, hit)
