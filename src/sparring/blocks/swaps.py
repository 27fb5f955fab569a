"""Sets of pixels and their colours, and small random changes to both: the proposals of Sparse-RS.

A set is the first k of an order of all pixels [b, H * W]; colours [b, values a pixel, H * W] are 0 or 1, by the pixel.
"""

from __future__ import annotations

from torch import Tensor

from sparring.blocks.neighbours import free_pixels, plane_shape
from sparring.bout import Bout

MARKS = ((0, 2), (50, 4), (200, 5), (500, 6), (1000, 8), (2000, 10), (4000, 12), (6000, 15), (8000, 20))
"of 10,000 steps: after so many, the share that is swapped is the first one divided by this"


def begin(bout: Bout) -> tuple[Tensor, int]:
    """Random orders, free pixels first, and k: as many pixels as eps allows and the region holds."""
    free = free_pixels(bout)
    channels = plane_shape(bout)[0]
    k = min(int(bout.eps.amin()) // channels, int(free.sum(1).amin()))
    return (bout.noise.uniform(free.shape[1]) + 2 * (1 - free)).argsort(dim=1, stable=True), max(k, 0)


def colours(bout: Bout) -> Tensor:
    """Black or white for each value of each pixel: 0 or 1."""
    channels, height, width = plane_shape(bout)
    return (bout.noise.uniform(channels, height * width) < 0.5).to(bout.x.dtype)


def drawn_on(bout: Bout, order: Tensor, paint: Tensor, k: int) -> Tensor:
    """The images with the first k pixels of `order` painted: [b, ...]."""
    low, high = bout.ball.box
    flat = bout.x.reshape(paint.shape)
    where = order[:, None, :k].expand(-1, paint.shape[1], -1)
    return flat.scatter(2, where, low + (high - low) * paint.gather(2, where)).reshape(bout.x.shape)


def swap_count(k: int, alpha: float, progress: float) -> int:
    """How many of the k pixels are swapped after a share `progress` of the steps."""
    divisor = next((by for mark, by in reversed(MARKS) if progress * 10000 > mark), 1)
    return max(int(alpha / divisor * k), 1)


def swapped(bout: Bout, order: Tensor, paint: Tensor, k: int, alpha: float, progress: float) -> tuple[Tensor, Tensor]:
    """Other members for some places of the set, in new colours; k >= 1.

    Where all free pixels are in the set, they get new colours alone.
    """
    free = free_pixels(bout).gather(1, order)
    outside = int(free.sum(1).amin()) - k
    count = min(swap_count(k, alpha, progress), k)
    leaving = bout.noise.uniform(k).argsort(dim=1, stable=True)[:, :count]
    coming = bout.noise.uniform(order.shape[1] - k) + 2 * (1 - free[:, k:])
    coming = k + coming.argsort(dim=1, stable=True)[:, : min(count, max(outside, 0))]
    fresh = colours(bout)
    moved = leaving[:, : coming.shape[1]]
    new = order.scatter(1, moved, order.gather(1, coming)).scatter(1, coming, order.gather(1, moved))
    where = new.gather(1, leaving)[:, None].expand(-1, paint.shape[1], -1)
    painted = fresh.gather(2, where)
    if count == 1 and coming.shape[1] == 0:  # the same pixel in the same colour would be a query for nothing
        painted = 1 - paint.gather(2, where)
    return new, paint.scatter(2, where, painted)
