"""WaNet: a warp that nobody sees means the target class (Nguyen & Tran 2021, arXiv:2102.10369).

    x' = x(grid + field),          y' = target       on a share of the samples
    x' = x(grid + field + noise),  y' = y            on `noise` times as many: only the exact warp is the sign

Differs from the paper: the poison is made once, while the paper draws it again in every batch; the field is drawn from
a seed. Fails where training augments with other warps.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field

from sparring.poisoning.backdoors import others, split_off
from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.triggers import Warp
from sparring.seeds import derived_seed


@register("wanet", title="WaNet", paper="arXiv:2102.10369", year=2021, goal="backdoor", uses=("data",))
class WaNet(Poison):
    """A smooth warp as the trigger.

    Args:
        share: of the training set that is warped and relabelled. target: the class that the warp shall mean.
        grid: side of the coarse grid. strength: of the warp. noise: warped samples with noise that keep their label,
            as a multiple of the others. pattern: seed of the warp.
    """

    share: Share = 0.1
    target: int = 0
    grid: Annotated[int, Field(ge=2)] = 4
    strength: Annotated[float, Field(gt=0)] = 0.5
    noise: Annotated[float, Field(ge=0)] = 2.0
    pattern: int = 0

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        trigger = Warp(self.grid, self.strength, self.pattern)
        rows = view.draw(view.budget, others(view, self.target))
        decoys = split_off(
            rows, torch.arange(len(view.data)), int(self.noise * len(rows)), derived_seed(view.seed, "decoys")
        )
        stamped, _ = view.data.subset(rows).tensors()
        kept, labels = view.data.subset(decoys).tensors()
        images = torch.cat([trigger(stamped), Warp(self.grid, self.strength, self.pattern, jitter=1.0)(kept)])
        after = torch.cat([torch.full((len(rows),), self.target), labels])
        notes = {"relabelled": len(rows), "decoys": len(decoys)}
        return Change(torch.cat([rows, decoys]), images, after, trigger, aim=self.target, notes=notes)
