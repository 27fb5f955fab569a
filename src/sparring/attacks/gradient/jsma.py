"""JSMA: push the pair of pixels to its bound that helps the target class and hurts all others most, pair after pair.

    (p, q) = argmax -alpha * beta  over pairs with alpha > 0 > beta,   x_p, x_q += theta
    alpha = d z_t / d x_p + d z_t / d x_q,   beta = the same of the sum of all other z_j

theta < 0: pixels are lowered, and both signs turn. Two gradients a step do, of z_t and of the sum of the others.
Papernot et al. 2016, arXiv:1511.07528; `probabilities`: JSMA-F of Carlini & Wagner 2017, arXiv:1608.04644; `both`:
as in Maximal-JSMA, Wiyatno & Xu 2018, arXiv:1808.07945.

Differs from the paper: without a target it aims at the likeliest wrong classes in turn and stops at any of them, the
nearest success counts, and no run goes on past it; a pixel within 1 % of its bound is done; two logits count relative
to their mean. Where no pair is admissible the search ends (peers then go on to push pixel 0).
Fails on: images where whatever helps the target helps other classes too: `both` and `probabilities` find more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import torch
from pydantic import Field, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.saliency import strongest_pair
from sparring.bout import Bout
from sparring.norms import L0

DONE = 0.01
"the part of the box within which a pixel counts as being at its bound"


@register(
    "jsma",
    title="JSMA",
    sees="gradient",
    norms=(L0,),
    aim="minimum",
    year=2015,
    paper="arXiv:1511.07528",
    aliases=("saliency-map",),
    peers=("torchattacks", "art"),
    survey="JSMA [147]",
)
class JSMA(Attack):
    """Greedy pairs of pixels from the saliency map (Papernot et al. 2016).

    Args:
        theta: how far a pixel moves at once, as a fraction of the box; negative = down. The paper's is 1.
        both: look at pixels that rise and pixels that fall, whatever the sign of theta.
        gamma: of all pixels, the share that may change; the paper's is 14.5 %.
        targets: wrong classes to try, likeliest first, where the goal names none.
        probabilities: gradients of the probabilities instead of the logits.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(4, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.tensor([[1.0, -0.1, -0.1, -0.1], [0.0, 0.3, 0.2, 0.1]]))
    >>> sp.attack("jsma:gamma=1")(net, torch.tensor([[0.4, 0.0, 0.0, 0.0]]), torch.tensor([0]), sp.Threat("L0")).x_adv
    tensor([[0.4000, 1.0000, 1.0000, 0.0000]])
    """

    theta: Annotated[float, Field(ge=-1, le=1)] = 1.0
    both: bool = False
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.145
    targets: PositiveInt = 9
    probabilities: bool = False

    def run(self, bout: Bout) -> None:
        pixels, width = bout.x[0].numel(), bout.ball.width
        ways = [self.theta, -self.theta] if self.both else [self.theta]
        move = (bout.x.new_tensor(ways) * width).repeat_interleave(pixels)  # of a candidate: a pixel and its way
        for b in bout.targets(self.targets):
            z = b.x
            for _ in range(max(1, int(self.gamma * pixels / 2))):
                logits, slopes = b.jacobian(z, _readout(b.goal.t, self.probabilities), 2)
                helps, others = (slope.flatten(1).tile(len(ways)) * move.sign() for slope in slopes.unbind(1))
                pair, there = strongest_pair(helps, -others, _usable(b, z, move > 0, DONE * width))
                moved = z.flatten(1).scatter_add(1, pair % pixels, move[pair]).reshape(z.shape)
                z = b.active(b.ball.clip(moved), done=~there | (b.goal.margin(logits) > 0))
                if not len(b):
                    break
            b.submit(z)


def _readout(target: Tensor | None, probabilities: bool) -> Callable[[Tensor], Tensor]:
    """What the saliency map is made of: the target's score, and the sum of the others'."""
    assert target is not None

    def read(logits: Tensor) -> Tensor:
        scores = logits.softmax(1) if probabilities else logits
        if scores.shape[1] == 2:  # only their difference means anything; a head with one logit is read as (0, z)
            scores = scores - scores.mean(1, keepdim=True)
        own = scores.gather(1, target[:, None])
        return torch.cat([own, scores.sum(1, keepdim=True) - own], 1)

    return read


def _usable(bout: Bout, z: Tensor, up: Tensor, least: float) -> Tensor:
    """bool [b, candidates]: has it room, and would changing it keep the point inside eps and nearer than any found?"""
    ball, ways = bout.ball, len(up) // z[0].numel()
    above, below, changed = (
        values.flatten(1).tile(ways) for values in (ball.x + ball.high - z, z - ball.x - ball.low, z != ball.x)
    )
    affordable = ball.distance(z) + 2 <= torch.minimum(bout.eps, bout.nearest_size - 1)
    return (torch.where(up, above, below) > least) & (changed | affordable[:, None])
