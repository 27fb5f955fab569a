"""SignFlip: shrink a perturbation of signs, and turn the signs of random pixels while it still fools.

    z = x + e s;   e <- (1 - a) e where that fools;   s <- s with each sign turned with probability p where that fools

Turning a sign moves a point along the Linf sphere, and makes room for the next shrinking. Needs predicted classes only.
Chen, Zhang, Liu, Wang & Wang 2020 (ECCV), doi:10.1007/978-3-030-58555-6_17.

Differs from the paper: it starts from a direction of signs as RayS does, not from noise; a sign is kept, and can turn,
where the box leaves its pixel no room; both steps adapt after every `window` tries.
Fails on: large budgets, where RayS and ADBA come nearer; targets, as a ray must fool somewhere.
"""

from __future__ import annotations

import torch
from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.bisect import bisect
from sparring.blocks.decision.rates import Rate
from sparring.blocks.decision.signs import signed
from sparring.blocks.decision.starts import sign_start
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
    inward: PositiveFloat = 0.1
    share: PositiveFloat = 0.05
    window: PositiveInt = 10

    def run(self, bout: Bout) -> None:
        b = bout.child(0, passes=self.queries)
        few = 1 / max(1, b.x[0].numel())
        signs, radius = sign_start(b)
        radius = bisect(b, signed(b.ball, signs), radius, 0.01, radius > 0)
        inward, share = Rate.start(b.eps, self.inward), Rate.start(b.eps, max(self.share, few))
        for _ in range(self.queries):
            signs, radius, inward, share = b.active(signs, radius, inward, share)
            if not len(b):
                return
            everybody = torch.ones_like(b.eps, dtype=torch.bool)
            smaller = radius * (1 - inward.value)
            hit = ask(b, signed(b.ball, signs)(smaller))
            radius = torch.where(hit, smaller, radius)
            inward = inward.tell(everybody, hit, self.window, aim=0.5, most=0.5)
            turn = b.noise.uniform(*signs.shape[1:], dtype=signs.dtype) < b.ball.column(share.value)
            turned = torch.where(turn, -signs, signs)
            hit = ask(b, signed(b.ball, turned)(radius))
            signs = torch.where(b.ball.column(hit), turned, signs)
            share = share.tell(everybody, hit, self.window, aim=0.3, least=few, most=0.5)
