"""A few pixels of an image and what they become, as genes in [0, 1): place down, place across, one value a channel."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.blocks.estimators.bases import image_shape
from sparring.bout import Bout
from sparring.rng import Noise


def first_spots(noise: Noise, count: int, pixels: int, like: Tensor) -> Tensor:
    """Genes [b, count, pixels, 2 + C]: places uniform, values normal around the middle grey (Su et al. 2017)."""
    channels = image_shape(like)[0]
    place = noise.uniform(count, pixels, 2, dtype=like.dtype)
    value = 0.5 + 0.5 * noise.normal(count, pixels, channels, dtype=like.dtype)
    return lawful(torch.cat([place, value], 3))


def lawful(genes: Tensor) -> Tensor:
    """Genes back in their range: places wrap around the edges, values stop at the bounds of the box."""
    return torch.cat([genes[..., :2] % 1.0, genes[..., 2:].clamp(0, 1)], -1)


def painted(bout: Bout, genes: Tensor) -> Tensor:
    """The images [b, count, ...] that genes [b, count, pixels, 2 + C] stand for; where places meet, the last counts.

    Places are inside the smallest rectangle that holds all pixels of the region.
    """
    ball, (channels, height, width) = bout.ball, image_shape(bout.x)
    top, left, tall, wide = (side[:, None, None] for side in frame(bout))
    down, across = top + (genes[..., 0] * tall).long(), left + (genes[..., 1] * wide).long()
    at = torch.minimum(down, top + tall - 1) * width + torch.minimum(across, left + wide - 1)
    values = genes[..., 2:] * ball.width + ball.box[0]
    z = bout.x.reshape(len(bout), 1, channels, height * width).repeat(1, genes.shape[1], 1, 1)
    for k in range(genes.shape[2]):
        where = at[:, :, k, None, None].expand(-1, -1, channels, 1)
        z = z.scatter(3, where, values[:, :, k, :, None])
    return fitted(bout, z.reshape(*genes.shape[:2], *bout.x.shape[1:]), channels * genes.shape[2])


def fitted(bout: Bout, z: Tensor, values: int) -> Tensor:
    """`z` [b, m, ...] inside the ball, where so many changed `values` may be more than eps."""
    if bool((bout.eps >= values).all()):
        return z
    return bout.ball.project_many(z)


def frame(bout: Bout) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Top, left, height and width of the rectangle around the pixels that may change: int64 [b] each."""
    channels, height, width = image_shape(bout.x)
    free = bout.ball.free
    if free is None:
        whole = torch.full((len(bout),), 1, dtype=torch.int64, device=bout.x.device)
        return 0 * whole, 0 * whole, height * whole, width * whole
    some = free.reshape(len(bout), channels, height, width).any(1)
    down, across = some.any(2).long(), some.any(1).long()
    top, left = down.argmax(1), across.argmax(1)
    return top, left, height - down.flip(1).argmax(1) - top, width - across.flip(1).argmax(1) - left


def pixels_within(bout: Bout) -> int:
    """How many whole pixels the radius allows, in all of their channels; at least one."""
    channels, height, width = image_shape(bout.x)
    return max(1, min(int(bout.eps.amax()) // channels, height * width)) if len(bout) else 1
