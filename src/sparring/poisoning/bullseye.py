"""Bullseye polytope: the mean of the poisons' features is the target's (Aghakhani et al. 2020, arXiv:2005.00191).

    minimise over p_1 .. p_k   |f(t) - (1/k) sum_j f(p_j)|^2 / |f(t)|^2        labels as they were

With the target in the centre of the poisons, a linear layer that fits all of them fits the target. Differs from the
paper: one net instead of an ensemble, signed Adam. Fails when the features are trained again.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.targeting import base_samples, descend, extractor, find_target


@register(
    "bullseye",
    "bullseye-polytope",
    title="bullseye polytope",
    paper="arXiv:2005.00191",
    year=2020,
    goal="target",
    uses=("data", "features", "algorithm", "parameters"),
    clean_label=True,
)
class Bullseye(Poison):
    """The poisons together surround the target in feature space.

    Args:
        share: of the training set that is changed. target: number of the held-out image. label: the class that it
            shall get, -1 = the one after its own. eps: Linf radius. steps, step: of the descent, step in parts of eps.
    """

    share: Share = 0.01
    target: Annotated[int, Field(ge=0)] = 0
    label: int = -1
    eps: Annotated[float, Field(gt=0, le=1)] = 0.2
    steps: Annotated[int, Field(ge=1)] = 200
    step: Annotated[float, Field(gt=0)] = 0.1

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        aim = find_target(view, self.target, self.label)
        rows, body = base_samples(view, aim.label), extractor(view)
        base, _ = view.data.subset(rows).tensors()
        with torch.no_grad():
            wanted = body(aim.x[None])[0]

        def objective(z: torch.Tensor) -> torch.Tensor:
            gap: torch.Tensor = (body(z).mean(0) - wanted).square().sum() / wanted.square().sum().clamp(min=1e-12)
            return gap

        images, value = descend(objective, base, self.eps, self.steps, self.step, view.seed)
        return Change(rows, images, target=aim, aim=aim.label, notes={"objective": value})
