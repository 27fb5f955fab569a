"""How far colours are from those that a printer can make: the non-printability score of Sharif et al. and RP2.

The score of a pixel is the product of its distances to all printable colours (Sharif et al. 2016,
doi:10.1145/2976749.2978392). Thirty factors underflow, so its logarithm is taken, a sum: the same order, the same
colours as its lowest points, and a gradient that is felt far from them.
"""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

PAPER = 0.95
"the share of light that white paper gives back"
INKS = ((0.0, 0.68, 0.94), (0.93, 0.0, 0.55), (1.0, 0.95, 0.0))
"what solid cyan, magenta and yellow leave of it: red, green, blue"
GREYS = (0.25, 0.5, 0.75)
"how much of the paper black ink leaves"
CLOSE = 0.01
"distances count from here: nearer, a printer misses anyway, and the logarithm stays finite"


def printable_colours() -> Tensor:
    """[30, 3] red, green and blue in [0, 1]: each ink at 0, half and full cover, all mixed, and three greys."""
    cover = torch.tensor(list(product((0.0, 0.5, 1.0), repeat=3)), dtype=torch.float64)
    left = 1 - cover[:, :, None] * (1 - torch.tensor(INKS, dtype=torch.float64))
    greys = torch.tensor(GREYS, dtype=torch.float64)[:, None].expand(-1, 3)
    return PAPER * torch.cat([left.prod(1), greys])


def non_printability(z: Tensor, place: Tensor, colours: Tensor) -> Tensor:
    """The mean over the pixels in `place` of the log of the product: [b, C, H, W] in [0, 1] -> [b], lower is better.

    Grey pictures (one channel) are compared by brightness; inputs that are no pictures score 0.

    Args:
        place: bool, like z. colours: [P, 3], see `printable_colours`.
    """
    if z.dim() != 4 or z.shape[1] not in (1, 3):
        return z.flatten(1).sum(1) * 0
    colours = colours.to(z) if z.shape[1] == 3 else colours.to(z).mean(1, keepdim=True)
    away = torch.stack([torch.linalg.vector_norm(z - c[:, None, None], dim=1) for c in colours], -1)
    score = (away + CLOSE).log().sum(-1)
    inside = place.any(1)
    return (score * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp(min=1)
