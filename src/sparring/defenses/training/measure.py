"""The clean accuracy of a net. Its robust accuracy is the business of an audit."""

from __future__ import annotations

import torch
from torch import nn

from sparring.data.images import ImageData
from sparring.model import Model, wrap


def clean_accuracy(model: Model | nn.Module, data: ImageData, batch_size: int = 500) -> float:
    """The fraction of the images that get their own class, in eval mode; the net is left as it was."""
    model = wrap(model)
    with model.guard(), torch.no_grad():
        right = [model.labels(model.accept(x)).cpu() == y for x, y in data.loader(batch_size)]
    return float(torch.cat(right).double().mean())
