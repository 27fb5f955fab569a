"""Poison Frogs: a poison looks like its class and has the target's features (Shafahi et al. 2018, arXiv:1804.00792).

    minimise over p   |f(p) - f(t)|^2 / d + beta |p - b|^2 / n     for each base sample b by itself, labels as they were

Differs from the paper: signed Adam in a Linf ball of radius eps instead of forward and backward steps, so that it
spends the same budget as the attacks that it is compared with; both distances are means. Fails when the features are
trained again: the collision is one of this net's features only.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.targeting import base_samples, descend, extractor, find_target


@register(
    "feature-collision",
    "poison-frogs",
    title="feature collision",
    paper="arXiv:1804.00792",
    year=2018,
    goal="target",
    uses=("data", "features", "algorithm", "parameters"),
    clean_label=True,
)
class FeatureCollision(Poison):
    """Each poison by itself moves onto the target in feature space.

    Args:
        share: of the training set that is changed. target: number of the held-out image. label: the class that it
            shall get, -1 = the one after its own. eps: Linf radius. steps, step: of the descent, step in parts of eps.
        beta: the weight of the distance in pixels.
    """

    share: Share = 0.01
    target: Annotated[int, Field(ge=0)] = 0
    label: int = -1
    eps: Annotated[float, Field(gt=0, le=1)] = 0.2
    steps: Annotated[int, Field(ge=1)] = 200
    step: Annotated[float, Field(gt=0)] = 0.1
    beta: Annotated[float, Field(ge=0)] = 0.1

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        aim = find_target(view, self.target, self.label)
        rows, body = base_samples(view, aim.label), extractor(view)
        base, _ = view.data.subset(rows).tensors()
        with torch.no_grad():
            wanted = body(aim.x[None])

        def objective(z: torch.Tensor) -> torch.Tensor:
            apart = (body(z) - wanted).square().mean(1) + self.beta * (z - base).square().flatten(1).mean(1)
            total: torch.Tensor = apart.sum()
            return total

        images, value = descend(objective, base, self.eps, self.steps, self.step, view.seed)
        return Change(rows, images, target=aim, aim=aim.label, notes={"objective": value / len(rows)})
