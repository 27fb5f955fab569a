"""Coordinate descent on distance plus penalty, from scores: a run for `search_constant`. What ZOO does.

    g_i = [f(z + h e_i) - f(z - h e_i)] / 2 h   for a few coordinates i a step;   z_i moves by Adam, or by Newton

Chen et al. 2017, arXiv:1708.03999.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sparring.blocks.estimators.antithetic import reach
from sparring.blocks.estimators.bases import image_shape
from sparring.blocks.groups import losses_in_groups
from sparring.blocks.penalty.constants import Ledger, fair
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L2
from sparring.rng import Noise

Solver = Literal["adam", "newton"]
FLOOR = 0.1
"the smallest curvature that Newton divides by"
POOL = 4
"the side of the neighbourhood whose largest change makes a pixel important"


class Plan(NamedTuple):
    """How to descend: see the fields of `ZOO`."""

    steps: int
    coordinates: int
    h: float
    lr: float
    solver: Solver
    importance: bool
    confidence: float


class Slopes(NamedTuple):
    """At the chosen coordinates [b, n]: first and second derivative of what is missing; and at the point, what is."""

    first: Tensor
    second: Tensor
    missing: Tensor


def descend(bout: Bout, start: Tensor, size: Tensor, c: Tensor, _: None, plan: Plan) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise |z - x|_2^2 + c * max(confidence - margin, 0) from `start` [b, ...]; the outcome of a `Ledger`.

    A step costs two queries a coordinate and one for the point. A row leaves when its cost has set no new low, by
    0.01 %, for a third of the steps.
    """
    ledger, box = Ledger(start, size), bout.ball.box
    blank = torch.zeros_like(start)
    row = {
        "z": start, "c": c, "mean": blank, "square": blank, "count": blank, "at": torch.arange(len(c), device=c.device),
        "low": torch.full_like(c, torch.inf), "age": torch.zeros_like(c),
    }  # fmt: skip
    for _step in range(plan.steps):
        z = row["z"]
        at = choose(bout.noise, importance(bout, z) if plan.importance else free(bout), plan.coordinates)
        slopes = differences(bout, z, at, plan.h, plan.confidence)
        far = L2.size(z - bout.x)
        ledger.note(row["at"], z, far, slopes.missing == 0)
        cost = far.square() + row["c"] * slopes.missing
        lower = cost < row["low"] * (1 - 1e-4)
        row["low"] = torch.where(lower, cost, row["low"])
        row["age"] = torch.where(lower, 0, row["age"] + 1)
        g = 2 * (z - bout.x).flatten(1).gather(1, at) + row["c"][:, None] * slopes.first
        if plan.solver == "newton":
            move = g / (2 + row["c"][:, None] * slopes.second).clamp(min=FLOOR)
        else:
            row, move = _adam(row, g / bout.ball.width, at)
            move = bout.ball.width * move
        row["z"] = z.flatten(1).scatter_add(1, at, -plan.lr * move).reshape(z.shape).clamp(*box)
        row = bout.active(row, done=row["age"] >= max(plan.steps // 3, 1))
        if not len(bout):
            break
    return ledger.outcome


def differences(bout: Bout, z: Tensor, at: Tensor, h: float, confidence: float = 0.0) -> Slopes:
    """Of max(confidence - margin, 0), at coordinates `at` [b, n] of `z` [b, ...]: 2 n + 1 queries, `z` itself first.

    Probes stay in the box; where that cuts one off, or it meets NaN or Inf, the difference is taken over what is left.
    A point that meets them is infinitely short.

    Args:
        h: how far the probes are, as a fraction of the box width; a step of the grid at least.
    """
    step, count = reach(bout, h), at.shape[1]
    flat = z.flatten(1)
    here = flat.gather(1, at)
    up, down = ((here + side * step).clamp(*bout.ball.box) for side in (1, -1))
    where, values = torch.cat([at[:, :1], at, at], 1), torch.cat([here[:, :1], up, down], 1)

    def points(rows: Tensor, part: slice) -> Tensor:
        copies = flat[rows, None].repeat(1, part.stop - part.start, 1)
        copies.scatter_(2, where[rows, part, None], values[rows, part, None])
        return copies.reshape(*copies.shape[:2], *z.shape[1:])

    margins = losses_in_groups(bout, points, 2 * count + 1, margin)
    short = torch.where(margins.isfinite(), (confidence - margins).clamp(min=0), torch.nan)
    value, above, below = short[:, :1], short[:, 1 : count + 1], short[:, count + 1 :]
    up, above = torch.where(above.isnan(), here, up), torch.where(above.isnan(), value, above)
    down, below = torch.where(below.isnan(), here, down), torch.where(below.isnan(), value, below)
    right, left = (up - here).clamp(min=1e-12), (here - down).clamp(min=1e-12)
    second = 2 * ((above - value) / right + (below - value) / left) / (right + left)
    first = (above - below) / (up - down).clamp(min=1e-12)
    inside = (up > here) & (down < here) & ~value.isnan()
    enough = (margins[:, 0] > confidence) & margins[:, 0].isfinite()
    missing = torch.where(enough, 0, value.squeeze(1).clamp(min=torch.finfo(value.dtype).tiny))
    missing = torch.where(value.squeeze(1).isnan(), torch.inf, missing)
    return Slopes(torch.where(first.isnan(), 0, first), torch.where(inside, second, 0), missing)


def choose(noise: Noise, weight: Tensor, count: int) -> Tensor:
    """`count` different coordinates a row, the likelier the larger their `weight` [b, d]; those of weight 0 last."""
    chance = -(-noise.uniform(weight.shape[1], dtype=torch.float64).clamp(min=2.0**-25).log()).log()  # Gumbel
    return (chance + weight.double().log()).topk(min(count, weight.shape[1]), 1).indices


def estimated_constant(bout: Bout, c: float | None, count: int, h: float) -> Tensor:
    """[b] `c` for every row; where it is None, what is fair at each image, by the slopes of `count` coordinates."""
    if c is not None:
        return torch.full_like(bout.eps, c)
    slopes = differences(bout, bout.x, choose(bout.noise, free(bout), count), h)
    among = free(bout).sum(1) / slopes.first.shape[1]  # the squares of those that were not asked are like these
    return fair(slopes.missing, slopes.first * among.sqrt()[:, None])


def free(bout: Bout) -> Tensor:
    """[b, d]: 1 where a value may change, 0 elsewhere."""
    mask = bout.ball.free
    return torch.ones_like(bout.x).flatten(1) if mask is None else mask.flatten(1).to(bout.x.dtype)


def importance(bout: Bout, z: Tensor) -> Tensor:
    """[b, d]: how much the pixels around have changed so far; the same for all while nothing has."""
    channels, height, width = image_shape(z)
    change = (z - bout.x).abs().reshape(len(z), channels, height, width)
    near = F.max_pool2d(F.pad(change, (POOL // 2 - 1, POOL // 2) * 2), POOL, 1).flatten(1)
    return (near + 0.1 * near.mean(1, keepdim=True) + 1e-9) * free(bout)


def _adam(row: dict[str, Tensor], g: Tensor, at: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Adam for some coordinates, each with a count of its own: the new state and the direction [b, n]."""
    mean, square, count = (row[name].flatten(1).gather(1, at) for name in ("mean", "square", "count"))
    mean, square, count = 0.9 * mean + 0.1 * g, 0.999 * square + 0.001 * g.square(), count + 1
    new = {
        name: row[name].flatten(1).scatter(1, at, value).reshape(row[name].shape)
        for name, value in (("mean", mean), ("square", square), ("count", count))
    }
    return {**row, **new}, (mean / (1 - 0.9**count)) / ((square / (1 - 0.999**count)).sqrt() + 1e-8)
