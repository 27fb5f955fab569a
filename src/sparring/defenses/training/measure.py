"""The clean accuracy of a net, a batch at a time."""

from __future__ import annotations

import torch
from torch import nn

from sparring.data.images import ImageData
from sparring.model import Model, wrap


def clean_accuracy(model: Model | nn.Module, data: ImageData, batch_size: int = 500) -> float:
    """The fraction of the images that get their own class, in eval mode; the net is left as it was."""
    model = wrap(model)
    right = 0
    with model.guard(), torch.no_grad():
        for x, y in data.loader(batch_size):
            pixels = model.accept(x)
            right += int((model.labels(pixels) == y.to(pixels.device)).sum())
    return right / len(data)
