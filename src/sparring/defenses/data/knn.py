"""Neighbours that agree on another label (Paudice, Munoz-Gonzalez & Lupu 2018, arXiv:1803.00992).

    score_i = the share of the k nearest other samples that carry one same label, not y_i

A sample is dropped if that share is at least eta and larger than the share that agrees with y_i. Distances are between
pixels. Differs from the paper: dropped, not relabelled. Fails against flips whose neighbours are flipped alike.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from sparring.defenses.data.sanitizer import Evidence, Sanitized, Sanitizer, register_sanitizer
from sparring.errors import InputError

ROWS = 500
"samples whose distances are computed at once"


@register_sanitizer("knn", paper="arXiv:1803.00992")
class NearestNeighbours(Sanitizer):
    """Drop what its neighbours contradict.

    Args:
        k: neighbours. eta: the share of them that must agree on another label, in (0, 1].
    """

    k: Annotated[int, Field(ge=1)] = 10
    eta: Annotated[float, Field(gt=0, le=1)] = 0.5

    def inspect(self, evidence: Evidence) -> Sanitized:
        """See `Sanitizer.inspect`."""
        x, y = evidence.data.tensors()
        if len(y) <= self.k:
            raise InputError(f"knn: {len(y)} samples have no {self.k} neighbours; lower k")
        near = neighbours(x.flatten(1), self.k)
        votes = one_hot(y[near], len(evidence.data.classes)).double().mean(1)
        own = votes.gather(1, y[:, None])[:, 0]
        scores = votes.scatter(1, y[:, None], -1.0).amax(1)
        return Sanitized(scores, ~((scores >= self.eta) & (scores > own)))


def neighbours(x: Tensor, k: int, of: Tensor | None = None) -> Tensor:
    """The k nearest rows of x [N, d] to each row of `of` [M, d], int64 [M, k]; without `of`, to each other row of x.

    Equal distances: the earlier row first.
    """
    found = []
    for start in range(0, len(x if of is None else of), ROWS):
        asked = (x if of is None else of)[start : start + ROWS]
        distance = torch.cdist(asked, x)
        if of is None:
            distance[torch.arange(len(asked)), start + torch.arange(len(asked))] = torch.inf
        found.append(distance.sort(dim=1, stable=True).indices[:, :k])
    return torch.cat(found)
