"""Where attacks begin that see classes alone: at a point that fools, however far away.

First what others found in this call, then noise, plain pictures, corners of the box, and noise blended into the image,
a few at a time. Rows for which nothing fools leave the bout: a failure on record, and no error for their neighbours.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.blocks.decision.ask import ask, clip_many, columns, first, pick
from sparring.blocks.decision.bisect import to_boundary
from sparring.blocks.decision.signs import signs_of
from sparring.blocks.groups import rows_in_groups
from sparring.bout import Bout
from sparring.rng import Noise

Draw = Callable[[Bout, Noise, int], Tensor]
"candidates [b, m, ...], still to be clipped"


def uniform(bout: Bout, noise: Noise, count: int) -> Tensor:
    """Noise that fills the box."""
    return bout.ball.box[0] + bout.ball.width * noise.uniform(count, *bout.x.shape[1:], dtype=bout.x.dtype)


def plain(bout: Bout, noise: Noise, count: int) -> Tensor:
    """Grey, white, black, and the negative of the image."""
    low, high = bout.ball.box
    flat = [torch.full_like(bout.x, value) for value in ((low + high) / 2, high, low)]
    return torch.stack([*flat, low + high - bout.x], 1)[:, :count]


def corners(bout: Bout, noise: Noise, count: int) -> Tensor:
    """Each pixel at one of its bounds."""
    low, high = bout.ball.box
    heads = noise.uniform(count, *bout.x.shape[1:]) < 0.5
    return torch.where(heads, low, high).to(bout.x.dtype)


def blended(bout: Bout, noise: Noise, count: int) -> Tensor:
    """The image mixed with noise, more of it each time."""
    share = torch.linspace(0, 1, count + 2, dtype=bout.x.dtype, device=bout.x.device)[1:-1].expand(len(bout), count)
    full = uniform(bout, noise, count)
    return bout.x[:, None] + columns(share, full) * (full - bout.x[:, None])


def speckled(bout: Bout, noise: Noise, count: int) -> Tensor:
    """Salt and pepper on more and more of the pixels."""
    share = 0.5 ** torch.arange(count - 1, -1, -1, dtype=torch.float32, device=bout.x.device)
    grain = corners(bout, noise, count)
    here = noise.uniform(count, *bout.x.shape[1:]) < columns(share.expand(len(bout), count), grain)
    return torch.where(here, grain, bout.x[:, None])


STAGES: tuple[tuple[Draw, int], ...] = (
    *((uniform, count) for count in (1, 2)),
    *((plain, 4), (corners, 4), (speckled, 6), (blended, 6), (uniform, 10), (corners, 10), (uniform, 60)),
)
"""What is tried, and how many of each; the few first, as most rows need no more."""

CORNERS: tuple[tuple[Draw, int], ...] = ((corners, 4), (corners, 16), *STAGES)
"For directions of signs, which end at corners of the box."

SPECKLES: tuple[tuple[Draw, int], ...] = (*((speckled, 8),) * 4, *STAGES)


def far_start(
    bout: Bout,
    stages: tuple[tuple[Draw, int], ...] = STAGES,
    known: bool = True,
    skip: Tensor | None = None,
    noise: Noise | None = None,
) -> tuple[Tensor, Tensor]:
    """Points [b, ...] that fool, and bool [b], where there is one or `skip` says that none is needed.

    `known`: begin with the nearest found so far. `noise`: None = that of the bout.
    """
    noise = bout.noise if noise is None else noise
    z, size = bout.nearest_success
    found = size.isfinite() & known
    found = found if skip is None else found | skip
    for number, (draw, count) in enumerate(stages):
        if bool(found.all()):
            break
        here = noise.fold(number)
        for rows, group in rows_in_groups(bout, count, ~found):
            points = clip_many(group, draw(group, here[rows], count))
            hits = group.fooled_many(points)
            fools = hits.any(1)
            z[rows[fools]] = pick(points, first(hits))[fools]
            found[rows[fools]] = True
    return z, found


def near_start(bout: Bout, tolerance: float) -> Tensor:
    """Points [b, ...] that fool, back to the boundary by bisection; rows without one leave the bout."""
    z, found = far_start(bout)
    z = bout.active(z, done=~found)
    return to_boundary(bout, z, tolerance) if len(bout) else z


def sign_start(bout: Bout) -> tuple[Tensor, Tensor]:
    """Directions of -1 and 1 [b, ...] that fool at radii [b]; rows without one leave the bout.

    Noise is tried where no ray of `sign_rays` fools: targets need it. The signs of the way to it must fool, too. It is
    the same for an image whatever the seed, as attacks that begin here draw nothing else.
    """
    signs, radius, found = sign_rays(bout)
    if not bool(found.all()):
        z, fools = far_start(bout, CORNERS, skip=found, noise=Noise.of(bout.x, seed=0))
        turned = signs_of(bout.ball, z)
        hit = ask(bout, bout.ball.clip(bout.x + bout.ball.width * turned), fools & ~found)
        signs, found = torch.where(bout.ball.column(hit), turned, signs), found | hit
    return bout.active(signs, radius, done=~found)  # type: ignore[no-any-return]


def sign_rays(bout: Bout) -> tuple[Tensor, Tensor, Tensor]:
    """Directions of -1 and 1 [b, ...], radii [b], and bool [b]: the row fools there. No row leaves.

    First that of the nearest point found so far; across the box then all ones, as RayS has it, all minus ones, and
    stripes of finer and finer runs.
    """
    pixels = bout.x[0].numel()
    z, size = bout.nearest_success
    signs, radius = signs_of(bout.ball, z), bout.ball.distance(z)
    found = ask(bout, bout.ball.clip(bout.x + bout.ball.column(radius) * signs), size.isfinite())
    radius = torch.where(found, radius, bout.ball.width)
    place = torch.arange(pixels, device=bout.x.device).view(bout.x.shape[1:])
    for number in range(2 * pixels.bit_length() + 2):
        if bool(found.all()):
            break
        run = max(1, pixels >> (number // 2 - 1)) if number > 1 else pixels
        stripes = (1 - 2 * ((place // run + number) % 2)).to(bout.x.dtype).expand_as(bout.x)
        hit = ask(bout, bout.ball.clip(bout.x + bout.ball.width * stripes), ~found)
        signs = torch.where(bout.ball.column(hit), stripes, signs)
        found = found | hit
    return signs, radius, found
