"""Sets of pixels and their colours, and small random changes to both: the proposals of Sparse-RS.

A set is the first k [b] of an order of all pixels [b, H * W]; colours [b, values a pixel, H * W] are 0 or 1, by the
pixel. Each row has its own k, and draws as many numbers whatever the others do.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.neighbours import free_pixels, plane_shape
from sparring.bout import Bout
from sparring.rng import Noise

MARKS = ((0, 2), (50, 4), (200, 5), (500, 6), (1000, 8), (2000, 10), (4000, 12), (6000, 15), (8000, 20))
"of 10,000 steps: after so many, the share that is swapped is the first one divided by this"


class Sets(NamedTuple):
    """The set of each row: its order, its colours, how many pixels it has, and which pixels are free: [b, H * W]."""

    order: Tensor
    paint: Tensor
    k: Tensor
    free: Tensor


def begin(bout: Bout) -> Sets:
    """Random orders, free pixels first, and random colours; k: as many pixels as eps allows and the region holds."""
    channels, height, width = plane_shape(bout)
    free = free_pixels(bout)
    most = bout.eps.clamp(0, channels * height * width).to(torch.int64) // channels
    order = (bout.noise.uniform(height * width) + 2 * (1 - free)).argsort(dim=1, stable=True)
    paint = _colours(bout.noise, channels, height * width).to(bout.x.dtype)
    return Sets(order, paint, torch.minimum(most, free.sum(1).to(torch.int64)), free)


def drawn_on(bout: Bout, sets: Sets) -> Tensor:
    """The images with the pixels of their sets painted: [b, ...]."""
    low, high = bout.ball.box
    flat = bout.x.reshape(sets.paint.shape)
    where = sets.order[:, None, : int(sets.k.max())].expand(-1, flat.shape[1], -1)
    member = (torch.arange(where.shape[2], device=where.device) < sets.k[:, None])[:, None]
    shown = low + (high - low) * sets.paint.gather(2, where)
    return flat.scatter(2, where, torch.where(member, shown, flat.gather(2, where))).reshape(bout.x.shape)


def swap_count(k: Tensor, alpha: float, progress: float) -> Tensor:
    """How many of k [b] pixels are swapped after a share `progress` of the steps: [b], one at least of those there."""
    divisor = next((by for mark, by in reversed(MARKS) if progress * 10000 > mark), 1)
    return (alpha / divisor * k.double()).to(torch.int64).clamp(min=1).minimum(k)


def swapped(bout: Bout, sets: Sets, alpha: float, progress: float) -> Sets:
    """Other members for some places of the sets, in new colours.

    Where all free pixels are in the set, they get new colours alone. A change that would leave the image as it is, is
    none: a single new pixel never gets the colour that it has already.
    """
    order, paint, k, free = sets
    pixels = order.shape[1]
    count = swap_count(k, alpha, progress)
    most = int(count.max())
    place, nth = torch.arange(pixels, device=k.device), torch.arange(most, device=k.device)
    member = place < k[:, None]
    goes, comes = bout.noise.uniform_pair(pixels)
    leaving = (goes + 2 * ~member).argsort(dim=1, stable=True)[:, :most]
    coming = (comes + 2 * (member | (free.gather(1, order) == 0))).argsort(dim=1, stable=True)[:, :most]
    outside = free.sum(1).to(torch.int64) - k
    swaps = nth < torch.minimum(count, outside)[:, None]
    coming = torch.where(swaps, coming, leaving)
    new = order.scatter(1, leaving, order.gather(1, coming))
    new = new.scatter(1, coming, torch.where(swaps, order.gather(1, leaving), new.gather(1, coming)))
    where = new.gather(1, leaving)[:, None].expand(-1, paint.shape[1], -1)
    old, fresh = paint.gather(2, where), _colours(bout.noise, *paint.shape[1:]).to(paint.dtype).gather(2, where)
    low, high = bout.ball.box
    clean = bout.x.reshape(paint.shape).gather(2, where)
    idle = torch.where(swaps, (low + (high - low) * fresh == clean).all(1), (fresh == old).all(1))
    alone = (count == 1)[:, None] & idle
    fresh = torch.where(alone[:, None], 1 - fresh, fresh)
    changed = (nth < count[:, None])[:, None]
    return Sets(new, paint.scatter(2, where, torch.where(changed, fresh, old)), k, free)


def _colours(noise: Noise, channels: int, pixels: int) -> Tensor:
    """Black or white for each value of each pixel: 0 or 1."""
    return noise.uniform(channels, pixels) < 0.5
