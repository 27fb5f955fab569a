"""ZOO: C&W L2 without gradients: coordinate descent on distance plus penalty, slopes from pairs of scores.

    min over z of  |z - x|_2^2 + c * max(confidence - margin(z), 0),   a few coordinates a step, by Adam or Newton

Needs scores only: two queries a coordinate and one for the point. Chen, Zhang, Sharma, Yi & Hsieh 2017,
arXiv:1708.03999.

Differs from the paper: pixels are clipped to the box, no tanh, as in its MNIST runs; the first c comes from an estimate
of the gradient at the image (c=0.01 is the paper's), and each search step goes on from the nearest point of the last;
steps are longer (lr=0.01 is the paper's) and fewer; no coarse grids first.
Fails on: large images, where a few coordinates are nothing (see autozoom); scores that are rounded or noisy beyond h.
"""

from __future__ import annotations

from functools import partial

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.estimators.coordinates import Plan, Solver, descend, estimated_constant
from sparring.blocks.penalty.constants import search_constant
from sparring.bout import Bout
from sparring.norms import L2


@register(
    "zoo",
    title="ZOO",
    sees="score",
    norms=(L2,),
    aim="minimum",
    approach="approximation",
    year=2017,
    paper="arXiv:1708.03999",
    peers=("art",),
    random=True,
    survey="Zeroth-Order Optimization (ZOO) [31]",
)
class ZOO(Attack):
    """Coordinate descent on estimated slopes (Chen et al. 2017).

    Args:
        steps: the most of each search step. search: how many constants are tried.
        coordinates: how many a step moves, two queries each. h: how far the probes are, of the box width.
        lr: of Adam; a factor of Newton's step. solver: "adam" or "newton".
        importance: choose coordinates near those that have changed. c: the first constant; None = from the slopes.
        confidence: the margin that the search is after.
    """

    steps: PositiveInt = 125
    search: PositiveInt = 4
    coordinates: PositiveInt = 128
    h: PositiveFloat = 0.001
    lr: PositiveFloat = 0.05
    solver: Solver = "adam"
    importance: bool = True
    c: PositiveFloat | None = None
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> None:
        plan = Plan(self.steps, self.coordinates, self.h, self.lr, self.solver, self.importance, self.confidence)
        c = estimated_constant(bout, self.c, self.coordinates, self.h)
        search_constant(bout, c, self.search, partial(descend, plan=plan))
