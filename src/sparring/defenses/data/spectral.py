"""Spectral signatures: what sticks out along the first singular vector (Tran, Li & Madry 2018, arXiv:1811.00636).

    score_i = <f(x_i) - mean, v>^2      f = activations before the last layer, v = the first right singular vector,
                                        both of the samples with one label

The same share of each label is dropped. Fails where the poison is not a minority of its class, and costs clean samples
where there is none.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sparring.defenses.data.activations import activations
from sparring.defenses.data.sanitizer import Evidence, Sanitized, Sanitizer, largest, register_sanitizer


@register_sanitizer("spectral", paper="arXiv:1811.00636")
class SpectralSignatures(Sanitizer):
    """Drop the samples of each label with the largest scores.

    Args:
        remove: the share of each label to drop; the paper takes 1.5 times the share of poison that it expects there.
    """

    remove: Annotated[float, Field(ge=0, lt=1)] = 0.15

    def inspect(self, evidence: Evidence) -> Sanitized:
        """See `Sanitizer.inspect`."""
        features, _ = activations(evidence.net, evidence.data)
        labels = evidence.data.labels
        scores, keep = torch.zeros(len(labels), dtype=torch.float64), torch.ones(len(labels), dtype=torch.bool)
        shares = {}
        for label in sorted(set(labels.tolist())):
            rows = (labels == label).nonzero().flatten()
            scores[rows], shares[label] = signature(features[rows])
            keep[rows] = largest(scores[rows], int(self.remove * len(rows) + 0.5))
        return Sanitized(scores, keep, {"first_share_of_variance": shares})


def signature(features: Tensor) -> tuple[Tensor, float]:
    """The squared projection of each row [N, d] on the first singular vector, and the share of the variance there."""
    centred = features - features.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred)
    total = float(values.sum())
    return (centred @ vectors[:, -1]).square(), float(values[-1]) / total if total > 0 else 0.0
