"""SignFlip: shrink a perturbation of signs, and turn the signs of random pixels while it still fools.

    z' = x + clip(z - x, +-(1 - a) e);   z'' = x + s (z - x), s = -1 with probability p, else 1;   what fools stays

Turning a sign moves a point along the Linf sphere, and makes room for the next shrinking. Needs predicted classes only.
Chen, Zhang, Liu, Wang & Wang 2020 (ECCV), doi:10.1007/978-3-030-58555-6_17.

Differs from the paper: it starts from the nearest boundary point of a start shared with other attacks, not one of the
user's; both steps adapt after every `window` tries, to half of them fooling.
Fails on: large budgets, where RayS and ADBA come nearer; targets that no noise is mistaken for.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.rates import Rate
from sparring.blocks.decision.starts import near_start
from sparring.bout import Bout
from sparring.norms import Linf


@register(
    "signflip",
    title="SignFlip",
    sees="decision",
    norms=(Linf,),
    aim="both",
    approach="decision",
    year=2020,
    paper="doi:10.1007/978-3-030-58555-6_17",
    aliases=("sign-flip", "sfa"),
    random=True,
)
class SignFlip(Attack):
    """Random sign flips of a shrinking perturbation (Chen et al. 2020).

    Args:
        queries: for each sample, the start included. inward: the first shrinking, as a fraction of the size.
        share: of the pixels whose sign turns in the first tries. window: tries after which both adapt.
    """

    queries: PositiveInt = 5000
    inward: PositiveFloat = 0.02
    share: PositiveFloat = 0.01
    window: PositiveInt = 10

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        z = near_start(b, tolerance=1e-2)
        inward, share = Rate.start(b.eps, self.inward), Rate.start(b.eps, self.share)
        for _ in range(self.queries):
            z, inward, share = b.active(z, inward, share)
            if not len(b):
                return
            everybody = torch.ones_like(b.eps, dtype=torch.bool)
            smaller = b.ball.with_eps(b.ball.distance(z) * (1 - inward.value)).project(z)
            hit = ask(b, smaller)
            z = torch.where(b.ball.column(hit), smaller, z)
            inward = inward.tell(everybody, hit, self.window, aim=0.5, most=0.5)
            turn = b.noise.uniform(*z.shape[1:], dtype=z.dtype) < b.ball.column(share.value)
            turned = b.ball.clip(torch.where(turn, 2 * b.x - z, z))
            hit = ask(b, turned)
            z = torch.where(b.ball.column(hit), turned, z)
            share = share.tell(everybody, hit, self.window, aim=0.5, most=0.5)
