"""GeoDA: estimate the normal at the boundary, then go from the clean image along it as far as it takes.

    w <- w + sum_i phi_i u_i;   z <- x + the perturbation of size r that gains most along w,   the smallest r that fools

Near the image the boundary is taken to be flat: then the nearest point is known under any norm. Needs predicted
classes only. Rahmati, Moosavi-Dezfooli, Frossard & Dai 2020, arXiv:2003.06468.

Differs from the paper: the perturbation makes use of the box, and under L1 is the best that the box allows; radii come
from the last boundary point, not from fixed steps; values that the box keeps from moving both ways count in full in the
normal; after the paper's number of steps it goes on while queries last.
Fails on: curved boundaries, where walks such as HopSkipJump come nearer in the long run.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import along_normal
from sparring.blocks.decision.bisect import follow
from sparring.blocks.decision.jumps import lengthen
from sparring.blocks.decision.normals import Frequencies, affordable, normal
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L1, L2, Linf


@register(
    "geoda",
    title="GeoDA",
    sees="decision",
    norms=(L2, Linf, L1),
    aim="minimum",
    approach="decision",
    year=2020,
    paper="arXiv:2003.06468",
    peers=("art",),
    random=True,
)
class GeoDA(Attack):
    """Straight along the estimated normal of a flat boundary (Rahmati et al. 2020).

    Args:
        queries: for each sample, the start included. samples: probes of the first step. growth: how many times as
            many each next step takes (the paper: 0.6 ** (-2 / 3)).
        probe: the length of a probe, as a fraction of the distance. frequencies: the share of each side's cosine
            frequencies that probes are made of; 1 = all, None = half, but at least 14 of a side.
        tolerance: of the bisection, as a fraction of the radius.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 60
    growth: Annotated[float, Field(ge=1)] = 1.4
    probe: PositiveFloat = 0.05
    frequencies: Frequencies | None = None
    tolerance: PositiveFloat = 1e-3

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, self.tolerance)
        w = torch.zeros_like(z)
        for t in range(self.queries):
            z, w = b.active(z, w)
            if not len(b):
                return
            count = int(self.samples * min(self.growth**t, 1e3))
            asked = affordable(b, count, self.tolerance)
            weight = count if asked is None else b.ball.column(asked)
            w = w + weight * normal(b, z, self.probe, count, self.frequencies, tag=t, asked=asked, slopes=True)
            path = along_normal(b.ball, w)
            radius, below, hit = lengthen(b, path, b.ball.distance(z))
            z = torch.where(b.ball.column(hit), path(radius), z)
            z = follow(b, z, path, radius, self.tolerance, hit, below)
