"""Headway: how much of an image's clean margin the attacks have taken so far. Who is near gets the long attacks.

    headway = 1 - margin(best point) / margin(clean image):   0 = nothing, 1 = fooled

Free of the logits' scale, and an image's own: nothing depends on the batch, the shard or the order of the images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.audit.suites.stage import Stage
from sparring.result import Result

LEAD = 0.1
"so much more headway by random search than by gradients: the gradients mislead here, and random search goes on"


class Headway:
    """The largest margins that N images have been brought to, by attacks with gradients and by those without.

    Args:
        margin: [N] on the clean images, negative where the model is right.
    """

    def __init__(self, margin: Tensor) -> None:
        self.start = margin.double()
        self.climbed, self.queried = self.start.clone(), self.start.clone()

    def note(self, stage: Stage, rows: Tensor, result: Result) -> None:
        """What a stage made of the images `rows` [r] (numbers); margins of rescaled logits are not comparable."""
        if stage.wrapper.startswith("rescaled"):
            return
        best = self.queried if stage.family in ("query", "noise") else self.climbed
        best[rows] = torch.fmax(best[rows], result.margin.double())

    def admits(self, stage: Stage) -> Tensor:
        """bool [N]: images worth this stage, see `Stage.min_progress`. All, where a model gives no margins."""
        if stage.min_progress is None:
            return torch.ones_like(self.start, dtype=torch.bool)
        climbed, queried = 1 - self.climbed / self.start, 1 - self.queried / self.start
        near = ~(torch.fmax(climbed, queried) < stage.min_progress)
        return near | (queried - climbed >= LEAD) if stage.family == "query" else near
