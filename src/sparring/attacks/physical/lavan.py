"""LaVAN: noise that anyone can see, but on a small patch away from the object.

    x' = (1 - M) * x + M * d,   d <- clip(d + rate * direction of grad_d (z_t - max_other z)),   until p_t >= confidence

M is the patch, z the logits; within the box the amplitude is free. Karmon, Zoran, Goldberg 2018, arXiv:1801.02608.

Image domain and network domain: pixels stay in the threat's box, which is a picture's for most models. To search all
that the net can take, as in the paper's network domain, declare so: `wrap(net, box=(-3, 4))` with pictures in (0, 1);
the result says by its box that its points are no pictures.
Differs from the paper: the target is pushed against the best other class, not always the source (loss=logit-difference
is the paper's z_t - z_y; third classes that profit from it cost two patches in three on MNIST); Adam's direction, with
steps that shrink to nothing from the whole box, so one rate does for all nets; untargeted too. `keep="last"` gives what
the search ends with, `keep="margin"` the surest patch seen, the default the smallest change that fooled, however sure.
Fails on: patches too small for the net (MNIST needs a third of the image), patches that are moved after the search.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Memory, adam
from sparring.blocks.views.patch import Place, patch
from sparring.bout import Bout
from sparring.losses import Loss, margin
from sparring.norms import L0, L2


@register(
    "lavan",
    title="LaVAN",
    sees="gradient",
    norms=(L0, L2),
    aim="own",
    scope=("individual",),
    visibility=("visible",),
    year=2018,
    paper="arXiv:1801.02608",
    random=True,
    survey="LaVAN [91]",
)
class LaVAN(Attack):
    """Visible noise on a patch of the image (Karmon et al. 2018).

    Args:
        steps: at most. rate: of the first step, as a part of the box; later ones shrink in line. confidence: the
            probability of the wrong class at which a sample stops.
        size: of the patch, as a share of the image. place: "corner", "centre", or "random" for each image. A region in
            the threat is the patch instead.
        loss: what is climbed.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(4, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.tensor([[0.0, 0, 0, 0], [9, 9, 9, -9]]))
    >>> x = torch.tensor([[0.0, 0.0, 0.0, 0.5]])
    >>> sp.attack("lavan:size=0.5")(net, x, torch.tensor([0]), ("L0",), keep="margin").x_adv
    tensor([[..., 0.0000, 0.5000]])
    """

    steps: PositiveInt = 300
    rate: PositiveFloat = 1.0
    confidence: Annotated[float, Field(gt=0, le=1)] = 0.9
    size: Annotated[float, Field(gt=0, le=1)] = 0.02
    place: Place = "corner"
    loss: Loss = margin

    def run(self, bout: Bout) -> Tensor:
        place, length = bout.ball.free, self.rate * bout.ball.width
        if place is None:
            place = patch(bout.x, self.size, self.place, bout.noise)
        b, final = bout.child(0), bout.x.clone()
        z, at, step, memory = b.x, torch.arange(len(b), device=b.x.device), adam(), Memory()
        for k in range(self.steps):
            logits, g = b.jacobian(z, lambda said: self.loss(said, b.goal)[:, None], count=1)
            sure = (b.goal.margin(logits) > 0) & (logits.softmax(1).amax(1) >= self.confidence)
            z, g, place, at, memory = b.active(z, g.squeeze(1), place, at, memory, done=sure)
            if not len(b):
                break
            direction, memory = step(b.ball.width * g, memory)
            z = b.ball.project(torch.where(place, z + length * (1 - k / self.steps) * direction, b.x))
            final[at] = z
        answer: Tensor = bout.active(final)
        return answer
