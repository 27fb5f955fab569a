"""CGBA-H: CGBA for targets. The half circle begins where a line along the normal meets the boundary beyond z.

    start = z + length * normal, inside the target's region;   then as in CGBA, from there to the clean image

Where the boundary bends strongly, as around the region of a target, the half circle from z itself leaves that region at
once; from a point inside it, it meets the boundary again nearer to the image. Needs predicted classes only. Reza,
Rahmati, Wu & Dai 2023, arXiv:2308.03163.

Differs from the paper: the length along the normal is a fraction of the distance, halved until the point fools; the
radius is bisected, not the angle; the nearest point so far is where the next step begins.
Fails on: targets that no noise is mistaken for; flat boundaries, where CGBA is better.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import arc, line
from sparring.blocks.decision.bisect import follow
from sparring.blocks.decision.jumps import land
from sparring.blocks.decision.normals import Frequencies, affordable, normal, unit
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "cgba-h",
    title="CGBA-H",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2023,
    paper="arXiv:2308.03163",
    random=True,
)
class CGBAH(Attack):
    """Half circles that begin inside the region that fools (Reza et al. 2023).

    Args:
        queries: for each sample, the start included. samples: probes in step t are this times sqrt(t).
        probe: the length of a probe, as a fraction of the distance. inside: how far along the normal the half circle
            begins, likewise. frequencies: the share of each side's cosine frequencies that probes are made of; 1 = all,
            None = half, but at least 14 of a side. tolerance: of the bisection, as a fraction of the radius.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 30
    probe: PositiveFloat = 0.02
    inside: PositiveFloat = 0.3
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
            size = b.ball.distance(z)
            far, _ = land(b, z, line(b.ball, z, unit(g)), self.inside * size)
            near = follow(b, far, arc(b.ball, far, g), b.ball.distance(far), self.tolerance)
            z = torch.where(b.ball.column(b.ball.distance(near) < size), near, z)
