"""Does the model see pixels as a picture file has them, at 256 levels? Then its rounding hides nothing from anybody.

Every picture is rounded so before a model sees it, on its way through a file or a camera. The gradient through such a
rounding is zero all the same. A coarser code is a defense, or works as one, and is told from it here.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.model import Model
from sparring.rng import Noise

LEVELS = 256
GRID = 4 * (LEVELS - 1) + 1
"values of a pixel that are tried, four a level"
FEWEST = 0.9
"of the levels: so many must be seen, and so many random images must be answered as their rounded ones are"
BATCH = 256


def passes(images: int) -> int:
    """Forward passes that it takes."""
    return 3 * images + GRID


def as_a_file(model: Model, x: Tensor, seed: int) -> bool:
    """Images x [n, ...] with noise are answered to the last bit as they are once rounded, or cut off, to 256 levels,
    and pixels that run through the box change the answer at nearly every level, and steadily.
    """
    low, high = model.box
    with model.guard(), torch.no_grad():
        point = model.accept(x)
        noise = Noise.of(point, seed).fold(0xF11E).uniform(*point.shape[1:], dtype=point.dtype).to(point)
        point = (point + 0.2 * (high - low) * (noise - 0.5)).clamp(low, high)
        logits, level = _answers(model, point), (point - low) / (high - low) * (LEVELS - 1)
        alike = [
            (_answers(model, low + cell / (LEVELS - 1) * (high - low)) == logits).all(1).double().mean()
            for cell in (level.round(), level.floor() + 0.5)
        ]
        if float(max(alike)) < FEWEST:
            return False
        values = torch.linspace(low, high, GRID, dtype=point.dtype, device=point.device)
        first = point[:1]
        half = (torch.arange(first.numel(), device=first.device) * 7919 % 2 == 0).view_as(first)
        shown = torch.where(half, values.view(-1, *[1] * (first.dim() - 1)), first)
        logits = _answers(model, shown)
        if int((logits[1:] != logits[:-1]).any(1).sum()) < FEWEST * (LEVELS - 1):
            return False
        steps = logits[::4].diff(dim=0)  # from level to level; a code that shuffles levels goes up and down
        return float(steps.diff(dim=0).abs().sum()) < float(steps.abs().sum())


def _answers(model: Model, x: Tensor) -> Tensor:
    return torch.cat([model.logits(part) for part in torch.split(x, BATCH)])
