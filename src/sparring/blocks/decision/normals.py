"""The normal of the boundary, from classes alone: which of many small random moves fool?

    g = mean_i (phi_i - mean phi) u_i,   phi_i = 1 where z + r u_i fools, -1 where it does not

Chen, Jordan & Wainwright 2020, arXiv:1904.02144, with directions of low frequency after Li et al. 2020 (QEBA),
arXiv:2005.14137, and Rahmati et al. 2020 (GeoDA), arXiv:2003.06468.
"""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from sparring.blocks.decision.ask import clip_many, columns
from sparring.blocks.groups import rows_in_groups, slices
from sparring.bout import Bout
from sparring.kernels import nonzero, per
from sparring.norms import L2
from sparring.rng import Noise

Frequencies = Annotated[float, Field(gt=0, le=1)]
"The share of each side's cosine frequencies that directions are made of, the lowest, as a field of an attack."
RIDGE = 1.0
"of what values move, for each value that a probe would have to tell of: with few probes, slopes are noise"
FEWEST = 14
"of a side's frequencies, where no share of them is given: on short sides even the highest are needed"


def unit(d: Tensor) -> Tensor:
    """Directions of L2 size 1: [b, ...]."""
    return d / per(nonzero(L2.size(d)), d)


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner products, row by row: [b]."""
    return (a * b).flatten(1).sum(1)


def across(v: Tensor, past: Tensor) -> Tensor:
    """`v` [b, ...] without what it shares with each of `past` [b, m, ...], which are zero or of size 1; of size 1."""
    for old in past.unbind(1):
        v = v - per(dot(v, old), v) * old
    return unit(v)


def directions(noise: Noise, shape: tuple[int, ...], count: int, share: float | None, dtype: torch.dtype) -> Tensor:
    """Random directions [b, count, *shape] of L2 size 1.

    `share`: of the cosine frequencies of each side of an image, the lowest, that they are made of; 1 = all, None = see
    `lowest`.
    """
    sides = shape[-2:] if len(shape) > 1 else ()
    kept = tuple(lowest(side, share) for side in sides)
    if kept == sides:
        d = noise.normal(count, *shape, dtype=dtype)
    else:
        d = noise.normal(count, *shape[:-2], *kept, dtype=dtype)
        (height, width), (tall, wide) = sides, kept
        d = _cosines(height, tall, d).T @ d @ _cosines(width, wide, d)
    return unit(d.flatten(0, 1)).reshape(d.shape)


def lowest(side: int, share: float | None) -> int:
    """How many of the frequencies of a side are used: a share of them; None = half, but at least `FEWEST`.

    >>> [lowest(side, None) for side in (3, 14, 20, 28, 32, 224)]
    [3, 14, 14, 14, 16, 112]
    """
    return min(side, max(FEWEST, math.ceil(side / 2))) if share is None else max(1, math.ceil(share * side))


def _cosines(length: int, count: int, like: Tensor) -> Tensor:
    """The first rows of the orthonormal cosine transform: [count, length]."""
    place = torch.arange(length, dtype=torch.float64, device=like.device) + 0.5
    rate = torch.arange(count, dtype=torch.float64, device=like.device)
    rows = (math.pi / length * rate[:, None] * place).cos() * math.sqrt(2 / length)
    rows[0] /= math.sqrt(2)
    return rows.to(like.dtype)


def affordable(bout: Bout, count: int, tolerance: float, jump: int = 3) -> Tensor | None:
    """[b] how many of `count` probes leave a row the queries to make use of what they tell; None = all of them.

    That is a jump of so many queries, and the bisection back to the boundary, as finely as `tolerance`.
    """
    left, spare = bout.queries_left_each, jump + math.ceil(math.log2(1 / min(tolerance, 0.5)))
    return None if left is None or bool((left >= count + spare).all()) else (left - spare).clamp(1, count)


def normal(
    bout: Bout,
    z: Tensor,
    probe: float,
    count: int,
    share: float | None = 1.0,
    sphere: bool = False,
    tag: int = 0,
    asked: Tensor | None = None,
    slopes: bool = False,
) -> Tensor:
    """The estimated normal at the boundary points `z` [b, ...], towards what fools: [b, ...]. `count` queries.

    Args:
        probe: the length of the moves, as a fraction of the L2 distance of z from the clean image.
        share: see `directions`. sphere: the points asked are as far from the clean image as z.
        tag: of the noise; each estimate of a run needs its own.
        asked: [b] the first so many probes of each row are asked about; None = all.
        slopes: how much the answer hangs on each value, by ridge regression, where the papers take the mean of the
            moves: that makes little of values at the end of the box, which probes move one way only.
    """
    parts = slices(bout, count)
    groups = rows_in_groups(bout, parts[0].stop)
    return torch.cat(
        [
            _normal(group, z[rows], probe, parts, share, sphere, tag, None if asked is None else asked[rows], slopes)
            for rows, group in groups
        ]
    )


def _normal(
    bout: Bout,
    z: Tensor,
    probe: float,
    parts: list[slice],
    share: float | None,
    sphere: bool,
    tag: int,
    asked: Tensor | None,
    slopes: bool,
) -> Tensor:
    """The same for rows that fit in memory together, their probes in `parts`."""
    radius = L2.size(z - bout.x)
    length = bout.ball.column(probe * radius)[:, None]
    sides, moves, squares = torch.zeros_like(z), torch.zeros_like(z), torch.zeros_like(z)
    answers, count = [], parts[-1].stop
    for part in parts:
        many = part.stop - part.start
        u = directions(bout.noise.fold(tag, part.start), tuple(z.shape[1:]), many, share, z.dtype)
        points = z[:, None] + length * u
        if sphere:
            away = (points - bout.x[:, None]).flatten(0, 1)
            away = unit(away) * per(radius.repeat_interleave(many), away)
            points = bout.x[:, None] + away.reshape(points.shape)
        points = clip_many(bout, points)
        u = (points - z[:, None]) / length.clamp(min=torch.finfo(z.dtype).tiny)
        wanted = None if asked is None else torch.arange(part.start, part.stop, device=z.device) < asked[:, None]
        phi = torch.where(bout.fooled_many(points, wanted), 1.0, -1.0).to(z.dtype)
        if wanted is not None:
            phi, u = phi * wanted, u * columns(wanted.to(u.dtype), u)
        answers.append(phi)
        sides += (columns(phi, u) * u).sum(1)
        moves += u.sum(1)
        if slopes:
            squares += u.square().sum(1)
    total = torch.full_like(length.flatten(), count) if asked is None else asked.to(z.dtype)
    mean = torch.cat(answers, 1).sum(1) / total
    mean = torch.where(mean.abs() == 1, 0, mean)  # all alike: they still say which side
    n = bout.ball.column(total)
    g = (sides - bout.ball.column(mean) * moves) / n
    if not slopes:
        return g
    spread = (squares / n - (moves / n).square()).clamp(min=0)
    usual = bout.ball.column(spread.flatten(1).mean(1))
    return g * usual / nonzero(spread + RIDGE * usual * z[0].numel() / n)
