"""Reject on negative impact: does one more sample make a trusted learner worse? (Nelson et al. 2008, usenix LEET'08)

    score_i = loss on a quiz set of the learner fitted to base + {(x_i, y_i)}   -   of the learner fitted to base

The trusted set is dealt to base, calibration and quiz (3 : 1 : 1). A sample is dropped if its score is above median + 3
standard deviations of the scores of the calibration samples.

Differs from the paper: the learner is ridge regression on the classes, whose fit with one more sample has a closed form
(Sherman & Morrison), so that every sample can be tried; the loss is the squared error, since one sample rarely changes
a count. Fails on poison that hurts only together, and on one image in particular.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import one_hot

from sparring.data.images import ImageData
from sparring.defenses.data.sanitizer import Evidence, Sanitized, Sanitizer, register_sanitizer
from sparring.errors import InputError

ROWS = 256
"samples that are tried at once"


@register_sanitizer("roni", paper="usenix:leet08-nelson")
class RejectOnNegativeImpact(Sanitizer):
    """Drop samples that raise the loss of a small trusted learner.

    Args:
        ridge: the weight of its penalty. deviations: how many of the calibration's are still harmless.
    """

    ridge: Annotated[float, Field(gt=0)] = 1000.0
    deviations: Annotated[float, Field(ge=0)] = 3.0

    def inspect(self, evidence: Evidence) -> Sanitized:
        """See `Sanitizer.inspect`."""
        clean, classes = evidence.trusted("roni"), len(evidence.data.classes)
        if len(clean) < 10:
            raise InputError(f"roni: the trusted set has {len(clean)} samples; give at least 10")
        turn = _turns(clean.labels) % 5
        base, calibration, quiz = (_sets(clean.subset(part), classes) for part in (turn < 3, turn == 3, turn == 4))
        impact = Impact(*base, *quiz, self.ridge)
        usual = impact(*calibration)
        threshold = float(usual.median() + self.deviations * usual.std())
        scores = impact(*_sets(evidence.data, classes))
        return Sanitized(scores, scores <= threshold, {"threshold": threshold})


class Impact:
    """The change of the mean squared error on a quiz by one more sample.

    Args:
        x, t: of the base, [N, d] and targets [N, K]. quiz, truth: likewise. ridge: the weight of the penalty.
    """

    def __init__(self, x: Tensor, t: Tensor, quiz: Tensor, truth: Tensor, ridge: float) -> None:
        self.inverse = torch.linalg.inv(x.T @ x + ridge * torch.eye(x.shape[1], dtype=x.dtype))
        self.weights = self.inverse @ x.T @ t
        self.quiz, self.gap = quiz, quiz @ self.weights - truth

    def __call__(self, x: Tensor, t: Tensor) -> Tensor:
        """For each sample x [M, d] with target t [M, K], as if it came alone: [M]."""
        found = []
        for start in range(0, len(x), ROWS):
            rows, targets = x[start : start + ROWS], t[start : start + ROWS]
            spread = rows @ self.inverse  # [m, d]
            step = (targets - rows @ self.weights) / (1 + (spread * rows).sum(1, keepdim=True))  # [m, K]
            reach = spread @ self.quiz.T  # [m, Q]: how far each moves each quiz answer
            # |gap + reach step|^2 - |gap|^2, summed over quiz and classes
            cross = 2 * ((reach @ self.gap) * step).sum(1)
            square = reach.square().sum(1) * step.square().sum(1)
            found.append((cross + square) / self.gap.numel())
        return torch.cat(found)


def _turns(labels: Tensor) -> Tensor:
    """How many samples of the same label come before each, int64 [N]: dealing by it keeps the classes balanced."""
    earlier = one_hot(labels).cumsum(0) - 1
    return earlier.gather(1, labels[:, None])[:, 0]


def _sets(data: ImageData, classes: int) -> tuple[Tensor, Tensor]:
    """Pixels with a constant, float64 [N, d + 1], and the classes as 0 and 1, [N, K]."""
    x, y = data.tensors()
    rows = x.flatten(1).double()
    return torch.cat([rows, rows.new_ones(len(rows), 1)], 1), one_hot(y, classes).double()
