"""HopSkipJump: from the boundary point, estimate the normal by random probes, jump along it, bisect back.

    g = mean_i (phi_i - mean phi) u_i;   z <- z + |z - x| / sqrt(t) * steepest(g), halved until it fools;   bisect to x

Needs predicted classes only. Chen, Jordan & Wainwright 2020, arXiv:1904.02144.

Differs from the paper: 70 probes where it has 100, as more steps come nearer under L2, and fewer in the last step, so
that queries are left for the jump; length and tolerance of the bisection are fractions of the L2 distance, the
same under both norms (`probe` = gamma / d in the paper's L2), and each row has its own (Foolbox takes one norm of the
gradient for all images of a batch); `frequencies` below 1 draws probes of low frequency (QEBA-F, arXiv:2005.14137).
Fails on: a few hundred queries; targets that no noise is mistaken for, as there is no point to start at.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import line
from sparring.blocks.decision.bisect import to_boundary
from sparring.blocks.decision.jumps import land
from sparring.blocks.decision.normals import Frequencies, affordable, normal
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2, Linf


@register(
    "hopskipjump",
    title="HopSkipJump",
    sees="decision",
    norms=(L2, Linf),
    aim="minimum",
    approach="decision",
    year=2020,
    paper="arXiv:1904.02144",
    aliases=("hsj", "hop-skip-jump"),
    peers=("foolbox", "art", "cleverhans", "secml-torch"),
    random=True,
    survey="Hop-Skip-Jump Attack (HSJ) [27]",
)
class HopSkipJump(Attack):
    """Walks along the boundary by estimated normals (Chen et al. 2020).

    Args:
        queries: for each sample, the start included. samples: probes in step t are this times sqrt(t).
        probe: the length of a probe, as a fraction of the distance. frequencies: the share of each side's cosine
            frequencies that probes are made of; 1 = all, None = half, but at least 14 of a side.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 70
    probe: PositiveFloat = 0.02
    frequencies: Frequencies | None = 1.0

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        tolerance = self.probe / max(1, b.x[0].numel()) ** 0.5
        z: Tensor = near_start(b, tolerance)
        for t in range(1, self.queries + 1):
            z = b.active(z)
            if not len(b):
                return
            count = int(self.samples * t**0.5)
            asked = affordable(b, count, tolerance)
            g = b.ball.steepest(normal(b, z, self.probe, count, self.frequencies, tag=t, asked=asked))
            far, hit = land(b, z, line(b.ball, z, g), b.ball.distance(z) / t**0.5)
            z = to_boundary(b, far, tolerance, hit)
