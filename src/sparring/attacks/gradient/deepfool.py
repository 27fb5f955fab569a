"""DeepFool: walk to the nearest of the linearised class boundaries, again and again, until one is crossed.

    D_k = |z_k - z_y| / |grad (z_k - z_y)|_q,   l = argmin_k D_k;   x_{i+1} = clip(x_i + 1.02 (D_l + 1e-4) steepest_l)

`steepest` is the unit step of the norm (L2: the unit gradient, Linf: its sign, L1: the pixels that pay most and have
room), q the dual exponent. Moosavi-Dezfooli, Fawzi, Frossard 2016, arXiv:1511.04599.

Differs from the paper: L1 too; the overshoot is taken at each step, not on the sum of all; targeted, the margin of
the target takes the place of the nearest boundary. The 1e-4 is in the authors' code only, but without it many samples
stop short of the boundary for ever. From the nearest success of an earlier attack it walks on half-way to it.
Fails on: gradients that say nothing about what is far; not minimal even elsewhere (MNIST: 1.6 times what DDN finds).
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.deepfool import deepfool_walk
from sparring.blocks.hyperplanes import rivals
from sparring.bout import Bout
from sparring.norms import L1, L2, Linf


@register(
    "deepfool",
    title="DeepFool",
    sees="gradient",
    norms=(L1, L2, Linf),
    aim="minimum",
    year=2015,
    paper="arXiv:1511.04599",
    peers=("foolbox", "torchattacks", "art", "adv-lib"),
    survey="DeepFool [132]",
)
class DeepFool(Attack):
    """Step over the nearest linearised boundary until fooled (Moosavi-Dezfooli et al. 2016).

    Args:
        steps: at most. overshoot: how much further than the boundary each step goes.
        classes: how many count, the likeliest on the clean image, its own included.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> sp.DeepFool()(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), sp.Threat("Linf")).distance
    tensor([0.1021])
    """

    steps: PositiveInt = 50
    overshoot: NonNegativeFloat = 0.02
    classes: Annotated[int, Field(ge=2)] = 10

    def run(self, bout: Bout) -> None:
        start = bout.x + 0.5 * (bout.nearest_success[0] - bout.x)
        deepfool_walk(bout, start, rivals(bout, self.classes), self.steps, self.overshoot)
