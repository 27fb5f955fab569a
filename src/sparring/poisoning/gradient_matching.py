"""Witches' Brew: a step on the poisons is a step towards the wrong label (Geiping et al. 2020, arXiv:2009.02276).

    minimise over p   1 - cos( sum_i grad l(f(p_i), y_i),  grad l(f(t), label) )       gradients in the weights of f

Differs from the paper: the cosine is averaged over `nets` surrogates instead of data augmentation (digits are not
flipped), and over the layers together. Fails where the victim is trained so differently that its gradients point
elsewhere, and for targets deep inside their class.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.targeting import base_samples, descend, find_target, surrogate
from sparring.seeds import derived_seed


@register(
    "gradient-matching",
    "witches-brew",
    title="gradient matching",
    paper="arXiv:2009.02276",
    year=2020,
    goal="target",
    uses=("data", "algorithm", "parameters"),
    clean_label=True,
)
class GradientMatching(Poison):
    """The poisons' gradient is aligned with that of the target under the wrong label.

    Args:
        share: of the training set that is changed. target: number of the held-out image. label: the class that it
            shall get, -1 = the one after its own. eps: Linf radius. steps, step: of the descent, step in parts of eps.
        nets: surrogates that are trained. restarts: descents, of which the best is kept.
    """

    share: Share = 0.01
    target: Annotated[int, Field(ge=0)] = 0
    label: int = -1
    eps: Annotated[float, Field(gt=0, le=1)] = 0.2
    steps: Annotated[int, Field(ge=1)] = 120
    step: Annotated[float, Field(gt=0)] = 0.1
    nets: Annotated[int, Field(ge=1)] = 1
    restarts: Annotated[int, Field(ge=1)] = 1

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        aim = find_target(view, self.target, self.label)
        rows = base_samples(view, aim.label)
        base, labels = view.data.subset(rows).tensors()
        nets = [surrogate(view, number).requires_grad_() for number in range(self.nets)]
        wanted = [slope_of(net, aim.x[None], torch.tensor([aim.label])).detach() for net in nets]

        def objective(z: Tensor) -> Tensor:
            turned = [
                torch.cosine_similarity(slope_of(net, z, labels, again=True), goal, 0)
                for net, goal in zip(nets, wanted, strict=True)
            ]
            return 1 - torch.stack(turned).mean()

        tries = [
            descend(objective, base, self.eps, self.steps, self.step, derived_seed(view.seed, "restart", k))
            for k in range(self.restarts)
        ]
        images, value = min(tries, key=lambda found: found[1])
        return Change(rows, images, target=aim, aim=aim.label, notes={"objective": value})


def slope_of(net: nn.Module, x: Tensor, y: Tensor, again: bool = False) -> Tensor:
    """The gradient of the summed cross-entropy in all weights of the net, flat; `again`: it can be differentiated."""
    loss = cross_entropy(net(x), y, reduction="sum")
    slopes = torch.autograd.grad(loss, tuple(net.parameters()), create_graph=again)
    return torch.cat([slope.flatten() for slope in slopes])
