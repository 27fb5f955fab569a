"""Boundary attack: a random walk along the boundary that accepts what still fools and comes nearer.

    aside = z - x + around * |z - x| * noise;   z' = x + (1 - inward) |z - x| aside / |aside|;   z <- z' where z' fools

Needs predicted classes only. Brendel, Rauber & Bethge 2018, arXiv:1712.04248.

As in the authors' code the whole step is asked about at once, and the step along the sphere alone every tenth time, to
adapt it. Differs from the paper: it starts on the boundary, after a bisection, hence with steps of a tenth, not a
hundredth; each row has its own direction and adapts its two steps after every few of its own tries.
Fails on: small budgets: attacks that estimate normals come nearer. It is the baseline.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.arcs import outward
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.rates import Rate
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.norms import L2


@register(
    "boundary",
    title="Boundary",
    sees="decision",
    norms=(L2,),
    aim="minimum",
    approach="decision",
    year=2018,
    paper="arXiv:1712.04248",
    aliases=("boundary-attack", "ba"),
    peers=("foolbox", "art", "secml-torch"),
    random=True,
    survey="Boundary Attack (BA) [15]",
)
class Boundary(Attack):
    """A random walk along the boundary (Brendel et al. 2018).

    Args:
        queries: for each sample, the start included.
        around, inward: the first steps along the sphere and towards the image, as fractions of the distance.
        window: tries after which a step is adapted by the share of them that fooled.
        every: of so many steps one is also asked about without its part towards the image.
    """

    queries: PositiveInt = 5000
    around: PositiveFloat = 0.1
    inward: PositiveFloat = 0.1
    window: PositiveInt = 10
    every: PositiveInt = 10

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, tolerance=1e-3)
        around, inward = Rate.start(b.eps, self.around), Rate.start(b.eps, self.inward)
        for turn in range(self.queries):
            z, around, inward = b.active(z, around, inward)
            if not len(b):
                return
            everybody, away = torch.ones_like(b.eps, dtype=torch.bool), z - b.x
            size = nonzero(L2.size(away))
            noise = b.noise.quick_normal(*z.shape[1:], dtype=z.dtype)
            aside = away.addcmul_(b.ball.column(around.value * size / nonzero(L2.size(noise))), noise)
            path = outward(b.ball, aside)
            if turn % self.every == 0:
                around = around.tell(everybody, ask(b, path(size)), self.window, aim=0.5)
            nearer = path((1 - inward.value) * size)
            hit = ask(b, nearer)
            z = z.lerp(nearer, b.ball.column(hit.to(z.dtype)))  # exactly one of both
            inward = inward.tell(everybody, hit, self.window, aim=0.2)
