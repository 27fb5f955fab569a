"""Single pixels thrown to the far bound of the box, and the pixels around them: what local search looks at."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.estimators.bases import image_shape
from sparring.bout import Bout


def plane_shape(bout: Bout) -> tuple[int, int, int]:
    """(values a pixel, height, width). Where eps is less than all channels of a pixel, every value is a pixel."""
    channels, height, width = image_shape(bout.x)
    return (channels, height, width) if bool((bout.eps >= channels).all()) else (1, channels * height, width)


def free_pixels(bout: Bout) -> Tensor:
    """[b, H * W]: 1 where some channel of a pixel may change, else 0."""
    channels, height, width = plane_shape(bout)
    if bout.ball.free is None:
        return bout.x.new_ones(len(bout), height * width)
    return bout.ball.free.reshape(len(bout), channels, -1).any(1).to(bout.x.dtype)


def thrown(bout: Bout, z: Tensor, at: Tensor) -> Tensor:
    """Copies of `z` [b, ...], each with one pixel of `at` [b, m] at the bound farther from it: [b, m, ...]."""
    flat = _planes(bout, z)
    copies = flat[:, None].repeat(1, at.shape[1], 1, 1)
    where = at[:, :, None, None].expand(-1, -1, flat.shape[1], 1)
    return copies.scatter(3, where, _far(bout, copies.gather(3, where))).reshape(*at.shape, *z.shape[1:])


def thrown_at(bout: Bout, z: Tensor, at: Tensor) -> Callable[[Tensor, slice], Tensor]:
    """`thrown` for some rows, by their numbers, and some of their pixels `at` [b, m], a slice of them."""
    return lambda rows, part: thrown(bout, z[rows], at[rows, part])


def thrown_together(bout: Bout, z: Tensor, at: Tensor) -> Tensor:
    """Copies of `z` [b, ...], the k-th with the first k pixels of `at` [b, m] thrown: [b, m, ...]."""
    flat = _planes(bout, z)
    where = at[:, None].expand(-1, flat.shape[1], -1)
    far = flat.scatter(2, where, _far(bout, flat.gather(2, where)))
    rank = torch.full_like(flat[:, 0], at.shape[1], dtype=torch.int64)
    rank = rank.scatter(1, at, torch.arange(at.shape[1], device=at.device).expand_as(at))
    upto = torch.arange(at.shape[1], device=at.device)[:, None, None]
    return torch.where(rank[:, None, None] <= upto, far[:, None], flat[:, None]).reshape(*at.shape, *z.shape[1:])


def around(bout: Bout, at: Tensor, chosen: Tensor, reach: int) -> Tensor:
    """[b, H * W]: 1 at free pixels no farther than `reach` from the `chosen` (bool [b, m]) of `at`, each way."""
    _, height, width = plane_shape(bout)
    marks = bout.x.new_zeros(len(bout), height * width).scatter(1, at, chosen.to(bout.x.dtype))
    side = 2 * reach + 1
    return F.max_pool2d(marks.reshape(-1, 1, height, width), side, 1, reach).flatten(1) * free_pixels(bout)


def full(bout: Bout, z: Tensor) -> Tensor:
    """bool [b]: one more pixel, in all of its channels, would be more than eps, or than a success that there is."""
    more = bout.ball.distance(z) + plane_shape(bout)[0]
    return (more > bout.eps) | (more > bout.nearest_size)


def sizes(bout: Bout, z: Tensor) -> Tensor:
    """[b, m]: how far points [b, m, ...] are from the images, by the norm of the threat."""
    return bout.ball.norm.size((z - bout.x[:, None]).flatten(0, 1)).reshape(z.shape[:2])


def _planes(bout: Bout, z: Tensor) -> Tensor:
    channels, height, width = plane_shape(bout)
    return z.reshape(len(z), channels, height * width)


def _far(bout: Bout, values: Tensor) -> Tensor:
    low, high = bout.ball.box
    return torch.where(values > (low + high) / 2, low, high).to(values.dtype)
