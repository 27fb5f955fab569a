"""stAdv: no pixel value is changed, pixels are moved, by a flow field that is as smooth as it can be and still fool.

    x'(p) = x read bilinearly at p + f(p);   minimise (confidence - margin(x'))_+ + tau * L(f)
    L(f) = sum over pixels p and their neighbours q of |f(p) - f(q)|_2

tau is searched for each image: the largest that still fools. Xiao et al. 2018, arXiv:1801.02612.

Differs from the paper: Adam with shrinking steps instead of L-BFGS; tau starts at the paper's 0.05 and is bisected (at
0.05 alone a fifth of the images or more stand on plain nets); the 4 nearest pixels are the neighbours; without a
target any wrong class will do. No norm bounds a flow; the threat's only says which of the successes is kept: the
nearest, or with keep="last" the smoothest. Fails on: images that are flat, where moving pixels changes nothing.
"""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.views.flow import smoothest_flow, warp
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf


@register(
    "stadv",
    title="stAdv",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    aim="own",
    year=2018,
    paper="arXiv:1801.02612",
    aliases=("spatially-transformed",),
    survey="Spatially Transformed Network (stAdv) [189]",
)
class StAdv(Attack):
    """A smooth flow field that moves pixels to where they fool (Xiao et al. 2018).

    Args:
        steps: of each run of Adam. search: runs, each with another tau.
        tau: the weight of smoothness in the first run; the paper's, which it keeps, is 0.05.
        step: the first step of Adam, in pixels. confidence: the margin that is asked for.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(4, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]]))
    >>> x = torch.tensor([[0.9, 0.5, 0.2, 0.1]])  # a line of pixels; the last one never rises above 0.9
    >>> moved = sp.attack("stadv")(net, x, torch.tensor([0]), sp.Threat("Linf"))
    >>> bool(moved.success), bool(moved.x_adv.max() <= 0.9)
    (True, True)
    """

    steps: PositiveInt = 200
    search: PositiveInt = 5
    tau: PositiveFloat = 0.05
    step: PositiveFloat = 0.2
    confidence: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> Tensor:
        flow, _ = smoothest_flow(bout, self.steps, self.search, self.tau, self.step, self.confidence)
        return warp(bout.x, flow)
