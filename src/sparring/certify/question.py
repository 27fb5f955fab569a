"""What is to be proved of a batch: the net, the region and the labels, in one precision, what counts as proof."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.bounds.ball import Region
from sparring.bounds.graph import Graph
from sparring.model import Model

ROUNDING = {torch.float32: 1e-4, torch.float64: 1e-6}
"""A bound must exceed this much of the largest logit to be a proof. In float32 it covers the rounding of the bounds, in
float64 that of the model's own float32 answers."""


@dataclass(frozen=True)
class Question:
    """B images that the model gets right.

    Attributes:
        model: the classifier. graph: its layers. ball: the allowed points. region: the same, flat. y: [B] classes.
        size: [B] the largest logit of each clean image.
    """

    model: Model
    graph: Graph
    ball: Ball
    region: Region
    y: Tensor
    size: Tensor

    @classmethod
    def ask(cls, model: Model, ball: Ball, y: Tensor, logits: Tensor, graph: Graph) -> Question:
        """The question about the points of `ball`; logits [B, K] are those of the clean images."""
        return cls(model, graph, ball, Region.of(ball), y, logits.abs().amax(1))

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, rows: Tensor) -> Question:
        ball, region = self.ball[rows], self.region[rows]
        return Question(self.model, self.graph, ball, region, self.y[rows], self.size[rows])

    def doubled(self) -> Question:
        """The same in float64."""
        return Question(
            self.model,
            self.graph.to(torch.float64),
            self.ball,
            self.region.to(torch.float64),
            self.y,
            self.size.double(),
        )

    @property
    def threshold(self) -> Tensor:
        """[B] a bound above it is a proof."""
        return ROUNDING[self.size.dtype] * self.size
