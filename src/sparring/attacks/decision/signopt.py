"""Sign-OPT: descend on the distance to the boundary along a direction, by signs of its differences.

    g = mean_i s_i u_i,  s_i = 1 where the point as far away along theta + beta u_i fools;   theta <- theta + alpha g

One query tells whether a nearby direction meets the boundary earlier. Needs predicted classes only.
Cheng, Singh, Chen, Chen, Liu & Hsieh 2020, arXiv:1909.10773.

Differs from the paper: the line search asks all its steps at one radius, then lets the radius shrink until one is left,
where the paper measures each, and goes back to the boundary along the one that won; the mean of the signs is taken off;
`samples` grow with the root of the step, and are fewer in the last one, so that queries are left for three radii of the
line search. It starts from one point that fools, bisected, where the paper takes the best of 100 random directions.
Fails on: small budgets; targets that no noise is mistaken for.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import pick
from sparring.blocks.decision.bisect import back, descend, duel
from sparring.blocks.decision.fans import fan
from sparring.blocks.decision.normals import Frequencies, affordable, normal, unit
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import L2

STEPS = (0.25, 0.5, 1.0, 2.0, 4.0)
"of the line search, as multiples of the last best"


@register(
    "signopt",
    title="Sign-OPT",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2020,
    paper="arXiv:1909.10773",
    aliases=("sign-opt",),
    peers=("art",),
    random=True,
)
class SignOPT(Attack):
    """Descent on the distance along a direction, by signs (Cheng et al. 2020).

    Args:
        queries: for each sample, the start included. samples: probes in step t are this times sqrt(t).
        probe: how far a probe turns the direction, in radians. frequencies: the share of each side's cosine
            frequencies that probes are made of; 1 = all, None = half, but at least 14 of a side.
        step: the first turn of the line search, in radians. rounds: radii of the line search.
        tolerance: of the way back to the boundary after it, as a fraction.
    """

    queries: PositiveInt = 5000
    samples: PositiveInt = 60
    probe: PositiveFloat = 0.01
    frequencies: Frequencies | None = 1.0
    step: PositiveFloat = 0.3
    rounds: PositiveInt = 10
    tolerance: PositiveFloat = 1e-3

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, self.tolerance)
        step = torch.full_like(b.eps, self.step)
        for t in range(1, self.queries + 1):
            z, step = b.active(z, step)
            if not len(b):
                return
            count = int(self.samples * t**0.5)
            asked = affordable(b, count, self.tolerance, jump=3 * len(STEPS))
            g = unit(normal(b, z, self.probe, count, self.frequencies, sphere=True, tag=t, asked=asked))
            turns = step[:, None] * step.new_tensor(STEPS)
            paths = fan(b, z, g, turns)
            everybody = torch.ones_like(turns, dtype=torch.bool)
            winner, radius, won = duel(b, paths, b.ball.distance(z), everybody, self.rounds, split=0.9)
            z = torch.where(b.ball.column(won), pick(paths(radius), winner), z)
            size, path = b.ball.distance(z), back(b, z)
            radius = descend(b, path, size, torch.full_like(size, self.tolerance), won)
            z = torch.where(b.ball.column(radius < size), path(radius), z)
            step = torch.where(won, pick(turns, winner), step / 4).clamp(1e-4, 1)
