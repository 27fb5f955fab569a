"""Where a patch sits: one rectangle an image."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from sparring.rng import Noise

Place = Literal["corner", "centre", "random"]
PLACES = get_args(Place)


def patch(x: Tensor, share: float, place: Place, noise: Noise) -> Tensor:
    """bool, the shape of the images [b, ...]: a nearly square patch of `share` of each image, on all channels.

    "corner" is the one at the top left, "random" another place for each image. A vector [b, d] is a picture one
    pixel high.
    """
    height, width = (x.shape[-2] if x.dim() > 2 else 1), x.shape[-1]
    area = share * height * width
    high = min(height, max(1, round(math.sqrt(area))))
    wide = min(width, max(1, round(area / high)))
    high = min(height, max(1, round(area / wide)))  # a picture narrower than the patch: more of its height
    room = torch.tensor([height - high + 1, width - wide + 1], device=x.device)
    start = {
        "corner": torch.zeros(len(x), 2, dtype=torch.int64, device=x.device),
        "centre": (room // 2).expand(len(x), 2),
        "random": noise.below(room, 2),
    }[place]
    top, left = (start[:, k, None] for k in (0, 1))
    row, column = torch.arange(height, device=x.device), torch.arange(width, device=x.device)
    rows, columns = (row >= top) & (row < top + high), (column >= left) & (column < left + wide)
    inside = rows[:, :, None] & columns[:, None, :]
    return inside.reshape(len(x), *[1] * (x.dim() - 3), *x.shape[1:][-2:]).expand(x.shape)
