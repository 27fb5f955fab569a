"""Boundary attack: a random walk along the boundary that accepts what still fools and comes nearer.

    z' = z + around * |z - x| * noise, back on the sphere round x;   where z' fools: z'' = z' + inward * (x - z')

Needs predicted classes only. Brendel, Rauber & Bethge 2018, arXiv:1712.04248.

Differs from the paper: it starts on the boundary, after a bisection, hence with steps of a tenth, not a hundredth; each
row has its own direction and adapts its two steps after every `window` of its own tries.
Fails on: small budgets: of all attacks here it needs most queries. It is the baseline.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.normals import unit
from sparring.blocks.decision.rates import Rate
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
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
    """

    queries: PositiveInt = 5000
    around: PositiveFloat = 0.1
    inward: PositiveFloat = 0.1
    window: PositiveInt = 10

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, tolerance=1e-3)
        around, inward = Rate.start(b.eps, self.around), Rate.start(b.eps, self.inward)
        for _ in range(self.queries):
            z, around, inward = b.active(z, around, inward)
            if not len(b):
                return
            size = b.ball.distance(z)
            noise = unit(b.noise.quick_normal(*z.shape[1:], dtype=z.dtype))
            aside = torch.addcmul(z, b.ball.column(around.value * size), noise).sub_(b.x)
            sphere = b.ball.clip(torch.addcmul(b.x, b.ball.column(size), unit(aside)))
            on = ask(b, sphere)
            nearer = b.ball.clip(sphere.lerp(b.x, b.ball.column(inward.value)))
            hit = ask(b, nearer, on) & (b.ball.distance(nearer) < size)
            z = z.lerp(nearer, b.ball.column(hit.to(z.dtype)))  # exactly one of both
            everybody = torch.ones_like(on)
            around = around.tell(everybody, on, self.window, aim=0.5)
            inward = inward.tell(on, hit, self.window, aim=0.2)
