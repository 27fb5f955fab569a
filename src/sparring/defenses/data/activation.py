"""Activation clustering: a label whose samples fall into two groups (Chen et al. 2018, arXiv:1811.03728).

The activations of each label are reduced to a few principal components and split by 2-means. A clear split (silhouette)
with a small second group means that the net has two reasons for this label; the small group is dropped.

Differs from the paper: principal instead of independent components; 2-means starts from the two halves along the first
component, so that nothing is drawn. Fails on poison whose activations mix with those of the clean samples.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sparring.defenses.data.activations import activations
from sparring.defenses.data.sanitizer import Evidence, Sanitized, Sanitizer, register_sanitizer

ROUNDS = 100
"of 2-means, at most"


@register_sanitizer("activation", paper="arXiv:1811.03728")
class ActivationClustering(Sanitizer):
    """Drop the smaller of two clusters where they are far apart.

    Args:
        components: kept of the activations. size: a smaller cluster above this share of its label is no poison.
        silhouette: the least mean silhouette of a split that counts.
    """

    components: Annotated[int, Field(ge=1)] = 10
    size: Annotated[float, Field(gt=0, le=0.5)] = 0.35
    silhouette: Annotated[float, Field(ge=-1, le=1)] = 0.2

    def inspect(self, evidence: Evidence) -> Sanitized:
        """See `Sanitizer.inspect`. Score: the silhouette in the smaller cluster, minus it in the larger."""
        features, _ = activations(evidence.net, evidence.data)
        labels = evidence.data.labels
        scores, keep = torch.zeros(len(labels), dtype=torch.float64), torch.ones(len(labels), dtype=torch.bool)
        splits = {}
        for label in sorted(set(labels.tolist())):
            rows = (labels == label).nonzero().flatten()
            if len(rows) < 4:
                continue
            reduced = principal(features[rows], self.components)
            small = two_means(reduced)
            each = silhouettes(reduced, small)
            scores[rows] = torch.where(small, each, -each)
            share, width = float(small.double().mean()), float(each.mean())
            splits[label] = {"smaller": share, "silhouette": width}
            if share <= self.size and width >= self.silhouette:
                keep[rows] = ~small
        return Sanitized(scores, keep, {"labels": splits})


def principal(x: Tensor, components: int) -> Tensor:
    """The first principal components of rows [N, d], largest first: [N, min(d, components)]."""
    centred = x - x.mean(0)
    _, vectors = torch.linalg.eigh(centred.T @ centred)
    reduced: Tensor = centred @ vectors.flip(1)[:, :components]
    return reduced


def two_means(x: Tensor) -> Tensor:
    """bool [N]: in the smaller of two clusters (of equal ones, the one on the positive side of the first column)."""
    second = x[:, 0] > x[:, 0].mean()
    for _ in range(ROUNDS):
        if not 0 < int(second.sum()) < len(x):
            break
        centres = torch.stack([x[~second].mean(0), x[second].mean(0)])
        moved = torch.cdist(x, centres).argmin(1).bool()
        if torch.equal(moved, second):
            break
        second = moved
    return second if second.sum() * 2 <= len(x) else ~second


def silhouettes(x: Tensor, second: Tensor) -> Tensor:
    """The silhouette of each row in a split, in [-1, 1]; 0 for a row that is alone (Rousseeuw 1987)."""
    if not 0 < int(second.sum()) < len(x):
        return torch.zeros(len(x), dtype=x.dtype)
    distance = torch.cdist(x, x)
    count = torch.stack([(~second).sum(), second.sum()]).to(x.dtype)
    total = torch.stack([distance[:, ~second].sum(1), distance[:, second].sum(1)], 1)
    own = second.long()[:, None]
    size = count[second.long()]
    inner = total.gather(1, own)[:, 0] / (size - 1).clamp(min=1)
    outer = total.gather(1, 1 - own)[:, 0] / count[1 - second.long()]
    widths = (outer - inner) / torch.maximum(outer, inner).clamp(min=1e-30)
    return torch.where(size > 1, widths, torch.zeros_like(widths))
