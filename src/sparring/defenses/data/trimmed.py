"""Trimmed loss: train, keep the samples with the smallest losses, train on those, and so on.

    keep <- the (1 - share) N samples with the smallest loss under the learner fitted to the last keep

TRIM for regression (Jagielski et al. 2018, arXiv:1804.00308), ITLM for nets (Shen & Sanghavi 2019, arXiv:1810.11874).
Differs from the papers: each round trains anew, for any learner. Fails where the share is guessed too low, where hard
clean samples look alike, and against flips that agree with each other.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, TypeVar

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from sparring.data.images import ImageData
from sparring.defenses.data.sanitizer import Evidence, Sanitized, Sanitizer, largest, register_sanitizer
from sparring.model import wrap

Fitted = TypeVar("Fitted")


@register_sanitizer("trimmed", paper="arXiv:1810.11874")
class TrimmedLoss(Sanitizer):
    """Drop the samples that a learner cannot fit once they are left out.

    Args:
        share: of the training set to drop; the share of poison, and some slack. rounds: of training.
    """

    share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    rounds: Annotated[int, Field(ge=1)] = 3

    def inspect(self, evidence: Evidence) -> Sanitized:
        """See `Sanitizer.inspect`. The score is the cross-entropy after the last round."""
        data = evidence.data

        def loss(net: torch.nn.Module) -> Tensor:
            return sample_losses(net, data)

        scores, keep = trim(
            lambda kept: evidence.learner.learn(data.subset(kept), evidence.seed),
            loss,
            len(data),
            int(self.share * len(data) + 0.5),
            self.rounds,
        )
        return Sanitized(scores, keep)


def trim(
    fit: Callable[[Tensor], Fitted], loss: Callable[[Fitted], Tensor], n: int, drop: int, rounds: int
) -> tuple[Tensor, Tensor]:
    """Losses [n] and keep-mask [n] after the rounds; ends early where the mask no longer changes.

    Args:
        fit: trains on the samples of a mask, bool [n]. loss: of every sample under what was trained.
    """
    keep = torch.ones(n, dtype=torch.bool)
    losses = loss(fit(keep))
    for _ in range(rounds):
        chosen = largest(losses, drop)
        if torch.equal(chosen, keep):
            break
        keep = chosen
        losses = loss(fit(keep))
    return losses, largest(losses, drop)


def sample_losses(net: torch.nn.Module, data: ImageData, batch_size: int = 500) -> Tensor:
    """The cross-entropy of each sample, float64 [N], in eval mode."""
    model = wrap(net)
    with model.guard(), torch.no_grad():
        found = [
            cross_entropy(model.logits(model.accept(x)).cpu().double(), y, reduction="none")
            for x, y in data.loader(batch_size)
        ]
    return torch.cat(found)
