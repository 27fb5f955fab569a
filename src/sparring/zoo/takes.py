"""What images a model takes: read from its configuration, or from its first layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from sparring.errors import SparringError
from sparring.model import Model

USUAL = (28, 32, 48, 64, 96, 112, 128, 160, 192, 224, 240, 256, 299, 300, 320, 384, 448, 512)
"sides of pictures that nets are usually made for"


@dataclass(frozen=True)
class Takes:
    """Channels (1 or 3), height and width of the images of a model; None = not known, or any."""

    channels: int | None = None
    height: int | None = None
    width: int | None = None


def taken_by(model: Model) -> Takes:
    """What is known of the images that a model takes, without a forward pass."""
    if model.input_size is not None and len(model.input_size) == 3:
        return Takes(*model.input_size)
    if isinstance(model.net, nn.Module):
        for module in model.net.modules():
            if isinstance(module, nn.Conv2d):
                return Takes(module.in_channels) if module.in_channels in (1, 3) else Takes()
            if isinstance(module, nn.Linear):
                return _flattened(module.in_features)
    values = {len(one) for one in (model.mean, model.std) if one is not None} - {1}
    return Takes(3) if values == {3} else Takes()


def _flattened(numbers: int) -> Takes:
    """A square image of so many numbers, in grey or RGB."""
    for channels in (1, 3):
        side = math.isqrt(numbers // channels)
        if channels * side * side == numbers and side > 1:
            return Takes(channels, side, side)
    return Takes()


def usual_sides(model: Model, channels: int) -> list[int]:
    """Of the usual sides of square pictures, those that the net takes: each is tried with a black picture."""
    return [side for side in USUAL if accepts(model, (channels, side, side))]


def accepts(model: Model, shape: tuple[int, int, int]) -> bool:
    """The net has an answer to a black picture of this shape."""
    with model.guard(), torch.no_grad():
        try:
            model.raw(model.accept(torch.full((1, *shape), model.box[0])))
        except (SparringError, RuntimeError, ValueError, TypeError, AssertionError, IndexError):
            return False
    return True
