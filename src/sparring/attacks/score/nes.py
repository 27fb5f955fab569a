"""NES: PGD on a gradient that is estimated from scores, by natural evolution strategies.

    g = 1 / (sigma n) * sum over n / 2 pairs of [l(z + sigma u) - l(z - sigma u)] u,   u normal
    z <- project(z + step * eps * steepest(momentum of g))

Needs scores only: `samples` queries a step, and one for the point itself. The query-limited attack of Ilyas,
Engstrom, Athalye & Lin 2018, arXiv:1804.08598.

Differs from the paper: the loss is the margin (cross-entropy of a net that is sure is flat in float32), untargeted
as well; probes never leave the box; a step is a fraction of eps and is halved for a row whose loss has not risen for
`plateau` steps; momentum adds g / |g|_1, the rule of MI-FGSM, where the paper has a running mean of g; L2 as well,
with steps along the normalised estimate. Its partial-information and label-only variants are `nes-partial` and
`nes-labels`.
Fails on: scores that are rounded or noisy beyond sigma, and in few queries where the image is large.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, momentum
from sparring.blocks.estimators.antithetic import antithetic
from sparring.blocks.estimators.directions import gaussian
from sparring.blocks.estimators.plateau import Plateau
from sparring.bout import Bout
from sparring.losses import Loss, houdini, margin
from sparring.norms import L2, Linf


@register(
    "nes",
    title="NES",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2018,
    paper="arXiv:1804.08598",
    random=True,
    survey="Natural Evolutionary Strategies (NES) [86]",
)
class NES(Attack):
    """PGD on gradients estimated from pairs of scores (Ilyas et al. 2018).

    Args:
        steps: the most. samples: queries for each gradient, in pairs.
        step: the first length of a step as a fraction of eps. sigma: how far the probes are, of the box width.
        decay: of the momentum. plateau: a row's step is halved when its loss has not risen for so many.
        least: the shortest step, as a fraction of eps. loss: what must rise.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
    >>> bool(sp.NES(samples=10)(net, x, y, sp.Threat("Linf", 0.11)).success)
    True
    """

    steps: PositiveInt = 200
    samples: Annotated[int, Field(ge=2, multiple_of=2)] = 50
    step: PositiveFloat = 0.3
    sigma: PositiveFloat = 0.001
    decay: NonNegativeFloat = 0.9
    plateau: PositiveInt = 5
    least: NonNegativeFloat = 0.01
    loss: Loss = margin

    def run(self, bout: Bout) -> Tensor | None:
        rule, memory = momentum(self.decay), Memory()
        z, pace = bout.x, Plateau.start(bout.eps, self.step)
        for k in range(self.steps):
            value, g = antithetic(bout, z, self.loss, self.samples // 2, self.sigma, gaussian, also=k > 0)
            z, value, g, memory, pace = bout.active(z, value, g, memory, pace)
            if not len(bout):
                return None
            g, memory = rule(g, memory)
            pace = pace.after(value, self.plateau, least=self.least)
            z = bout.ball.project(bout.ball.step(z, g, pace.length * bout.eps))
        return z


@register(
    "houdini-nes",
    title="Houdini from scores",
    sees="score",
    norms=(L2, Linf),
    approach="approximation",
    year=2017,
    paper="arXiv:1707.05373",
    random=True,
)
class HoudiniNES(NES):
    """NES on the Houdini loss: the surrogate of a task's own loss, climbed without gradients (Cisse et al. 2017).

    The paper attacks models that it cannot see by transfer alone; here the scores of the model itself lead.
    """

    loss: Loss = houdini
