"""What is to be proved of a batch: the net, the region and the labels, in one precision, what counts as proof."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.bounds.ball import Region
from sparring.bounds.crown import margin_rows
from sparring.bounds.graph import Graph
from sparring.bounds.rounding import own_error, spread_errors
from sparring.model import Model
from sparring.threat import Goal, Targeted, Untargeted

ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-6}
"""A bound must exceed this much of the largest logit to be a proof, and all that rounding may do: see `rounding`."""


@dataclass(frozen=True)
class Question:
    """B images that the model gets right.

    Attributes:
        model: the classifier. graph: its layers. ball: the allowed points. region: the same, flat. y: [B] classes.
        target: [B] the class that the images must not be taken for; None = any but y.
        size: [B] the largest logit of each clean image. error: [B] what bounds are off by, in units of the precision.
        noise: [B] what the model's own answers are off by.
    """

    model: Model
    graph: Graph
    ball: Ball
    region: Region
    y: Tensor
    size: Tensor
    error: Tensor
    noise: Tensor
    target: Tensor | None = None

    @classmethod
    def ask(
        cls, model: Model, ball: Ball, y: Tensor, logits: Tensor, graph: Graph, target: Tensor | None = None
    ) -> Question:
        """The question about the points of `ball`; logits [B, K] are those of the clean images."""
        region, size = Region.of(ball), logits.abs().amax(1)
        if not graph.nodes:  # a method that does not read the layers
            none = torch.zeros_like(size)
            return cls(model, graph, ball, region, y, size, none, none, target)
        own = own_error(graph, *region.box).amax(1)
        error = torch.maximum(own, spread_errors(graph, *region.box)[-1].amax(1))
        return cls(model, graph, ball, region, y, size, error, own * torch.finfo(size.dtype).eps, target)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Tensor) -> Question:
        ball, region = self.ball[rows], self.region[rows]
        y, size, error, noise = (value[rows] for value in (self.y, self.size, self.error, self.noise))
        target = None if self.target is None else self.target[rows]
        return Question(self.model, self.graph, ball, region, y, size, error, noise, target)

    def doubled(self) -> Question:
        """The same in float64."""
        return Question(
            self.model,
            self.graph.to(torch.float64),
            self.ball,
            self.region.to(torch.float64),
            self.y,
            self.size.double(),
            self.error.double(),
            self.noise.double(),
            self.target,
        )

    def rows(self) -> tuple[Tensor, Tensor]:
        """Rows [R, K] that turn logits into the margins y - k to bound, and the image of each [R]: all other classes of
        an image, or its target."""
        rows, owner = margin_rows(self.y, self.graph.classes, self.size.dtype)
        if self.target is None:
            return rows, owner
        asked = rows.gather(1, self.target[owner][:, None]).squeeze(1) < 0
        return rows[asked], owner[asked]

    def goal(self, owner: Tensor) -> Goal:
        """What would break the images `owner` [R]."""
        y = self.y[owner]
        return Untargeted(y) if self.target is None else Targeted(self.target[owner], y)

    @property
    def threshold(self) -> Tensor:
        """[B] a bound above it is a proof. NaN where the layers overflow: nothing is above."""
        dtype = self.size.dtype
        least = torch.maximum(ROUNDING[dtype] * self.size, torch.finfo(dtype).eps * self.error)
        return torch.maximum(least, self.noise) + torch.finfo(dtype).tiny

    @property
    def cancels(self) -> bool:
        """Large terms cancel in the net: float32 says too little of it."""
        return self.size.dtype is torch.float32 and bool(
            (self.threshold > 10 * ROUNDING[torch.float32] * self.size).any()
        )
