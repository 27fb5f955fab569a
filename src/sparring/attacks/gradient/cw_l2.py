"""C&W L2: the smallest perturbation as one smooth problem: distance plus c times the margin that is missing.

    min over w of  |z - x|_2^2 + c * max(confidence - margin(z), 0),   z = (tanh(w) + 1) / 2

by Adam; c is searched for each sample, smaller where it worked, larger where it did not.
Carlini & Wagner 2017, arXiv:1608.04644.

Differs from the paper: the first c comes from the gradient at the image, so that the scale of the logits does not
matter (c=0.001 is the paper's); each search step goes on from the nearest success so far, or from where the last one
ended, instead of from the image; a row stops when its own cost stops falling, not its batch's; `lr` comes from how
far the boundary is (the paper's is 0.01 for all), and pixels begin a little off their bounds, where tanh is not flat.
`confidence` steers the search alone: success is to fool, and the nearest that does is reported (ask for
keep="margin" or keep="last" to get points that fool with confidence). Fails on: gradients that are zero or mislead.
"""

from __future__ import annotations

from functools import partial

import torch
from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.penalty.constants import first_look, search_constant
from sparring.blocks.penalty.descent import Short, descend, hinge, rate_for
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "cw-l2",
    title="C&W L2",
    sees="gradient",
    norms=(L2,),
    aim="minimum",
    approach="gradient",
    year=2017,
    paper="arXiv:1608.04644",
    aliases=("cw", "carlini-wagner", "carlini-wagner-l2"),
    peers=("adv-lib", "foolbox", "torchattacks", "art", "cleverhans"),
    survey="CW Attack [23]",
)
class CarliniWagnerL2(Attack):
    """Distance plus a penalty, in tanh space (Carlini & Wagner 2017).

    Args:
        steps: the most of each search step; the paper's are 10,000 with lr=0.01.
        search: how many constants are tried. c: the first constant; None = from the first gradient.
        lr: of Adam; None = for each image and constant: a step goes about as far as the nearest success so far is, or
            as a linear model sees the boundary, tenfold after each search that found nothing; at most 0.1.
        confidence: the margin that the search is after.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.6, 0.4]]), torch.tensor([0])
    >>> sp.attack("cw-l2:steps=100")(net, x, y, sp.Threat("L2")).x_adv.round(decimals=2)
    tensor([[0.5000, 0.5000]])
    """

    steps: PositiveInt = 200
    search: PositiveInt = 9
    lr: PositiveFloat | None = None
    c: PositiveFloat | None = None
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> None:
        first, away = first_look(bout, self.c)
        search_constant(bout, first, self.search, partial(_descend, how=self), (first, away))


def _descend(
    bout: Bout, start: Tensor, size: Tensor, c: Tensor, scale: tuple[Tensor, Tensor], how: CarliniWagnerL2
) -> tuple[Tensor, Tensor, Tensor]:
    """One run with constants `c` [b]. `scale`: the first ones, and how far the boundary seemed then."""
    first, away = scale
    known = bout.nearest_size
    lr = how.lr or rate_for(bout.ball, torch.where(known.isfinite(), known, away * c / first))
    return descend(bout, start, size, c, None, how.steps, lr, partial(_ask, confidence=how.confidence))


def _ask(bout: Bout, z: Tensor, _: None, confidence: float) -> Short:
    return hinge(bout, z, confidence)
