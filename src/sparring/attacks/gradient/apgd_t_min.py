"""APGD_t: the smallest radius at which APGD-T still succeeds, by a search of each sample for itself.

    probe(eps): APGD from the nearest success projected onto the ball, then APGD-T towards each of the likeliest classes
    low < eps* <= high:  success -> high = its distance, failure -> low = eps;   next eps = max(sqrt(low high), q high)

Croce & Hein 2020, arXiv:2003.01690; as a minimum-norm attack in Cina et al. 2025, arXiv:2404.19460 (AttackBench).

Differs from the papers: no radius has to be given, the search starts at twice what a linear model predicts; a success
ends its probe at once and its own distance is the new upper end; a probe first goes on from there, so that most
successes cost a few steps. A failure costs a full run over all targets: the next radius is never far below a success.
Fails on: masked gradients, less than others; small budgets, as each failure costs 2 * steps * (targets + 1) passes.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.apgd import apgd, apgd_from
from sparring.blocks.bracket import Bracket
from sparring.bout import Bout
from sparring.kernels import nonzero
from sparring.losses import Loss, cross_entropy, dlr, dlr_targeted, margin
from sparring.norms import L1, L2, Linf


@register(
    "apgd-t-min",
    title="APGD_t (minimum norm)",
    sees="gradient",
    norms=(L1, L2, Linf),
    aim="minimum",
    year=2020,
    paper="arXiv:2003.01690",
    aliases=("apgd-minimal",),
    peers=("adv-lib",),
    random=True,
)
class APGDTMin(Attack):
    """The smallest radius at which APGD-T succeeds, searched for each sample (Croce & Hein 2020; AttackBench 2025).

    Args:
        steps: gradients of each run. targets: how many classes a probe tries, likeliest first.
        search: probes at most. shrink: a probe's radius is at least so many times the smallest success.
        tolerance: a sample is done when a failure is within this fraction of its success.
        fresh: runs on cross-entropy from random starts, before the targets: where gradients mislead near the image.
        warm: the first step of a run from a known point, as a fraction of the radius. loss: what runs at a class climb.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> result = sp.attack("apgd-t-min:steps=10")(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), ("Linf", None))
    >>> 0.1 <= result.distance.item() <= 0.101
    True
    """

    steps: PositiveInt = 100
    targets: NonNegativeInt = 9
    search: PositiveInt = 20
    shrink: Annotated[float, Field(gt=0, lt=1)] = 0.8
    tolerance: Annotated[float, Field(gt=0, lt=1)] = 0.01
    fresh: NonNegativeInt = 0
    warm: PositiveFloat = 0.2
    loss: Loss = dlr_targeted

    def run(self, bout: Bout) -> None:
        radius = _first(bout)
        for k in range(self.search):
            probe = bout.child(k, eps=radius.eps)
            for b in probe.restarts(1):
                apgd_from(b, b.ball.project(b.nearest_success[0]), self.steps, dlr, self.warm)
            for b in probe.restarts(self.fresh):
                apgd(b, self.steps, cross_entropy)
            for b in probe.targets(self.targets):
                apgd(b, self.steps, self.loss)
            radius = radius.tell(bout.nearest_size, self.shrink)
            radius = bout.active(radius, done=radius.closed(self.tolerance))
            if not len(bout):
                break


def _first(bout: Bout) -> Bracket:
    """Twice as far as a linear model sees the boundary; at most across the box."""
    ball = bout.ball
    value, slope = bout.value_and_grad(bout.x, margin)
    guess = 2 * value.abs() / nonzero(ball.norm.dual_size(slope))
    across = ball.norm.size(torch.maximum(ball.high, -ball.low))
    return Bracket.start(bout.nearest_size, guess, torch.minimum(across, ball.eps))
