"""What a model says about images: its class and how sure it is, for tables and captions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.model import Model


@dataclass(frozen=True)
class Answers:
    """Of N images, on the CPU.

    Attributes:
        prediction: [N] int64. confidence: [N] float32, the probability of that class; NaN where the model only says
            the class. classes: how many there are, None where that is not known.
    """

    prediction: Tensor
    confidence: Tensor
    classes: int | None


def ask(model: Model, x: Tensor, batch_size: int = 256) -> Answers:
    """Show pixels [N, ...] to the model, batch by batch. One forward pass an image; no attack is charged for it."""
    predictions, confidences, classes = [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0)], model.num_classes
    with model.guard(), torch.no_grad():
        for batch in torch.split(x, batch_size) if len(x) else ():
            shown = model.accept(batch)
            if model.access == "decision":
                labels = model.labels(shown).cpu()
                predictions.append(labels)
                confidences.append(torch.full(labels.shape, torch.nan))
            else:
                logits = model.logits(shown)
                classes = logits.shape[1]
                top = logits.double().softmax(1).max(1)
                predictions.append(top.indices.cpu())
                confidences.append(top.values.float().cpu())
    return Answers(torch.cat(predictions), torch.cat(confidences), classes)
