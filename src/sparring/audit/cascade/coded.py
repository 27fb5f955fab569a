"""An attack in the code's own space, where a model sees each pixel only through a few levels.

Behind bits, a thermometer or an inner rounding, a pixel matters only by the cell that its value lies in. So the search
moves whole pixels, each just across the nearest threshold, and buys what is cheapest first:

    gain of a pixel = slope of the margin at the code (straight through) x the way to the next cell
    price           = what crossing adds to |z - x|^p in pixels;        buy by gain / price^a until the budget is spent

Thresholds are found by asking: one value in half of the pixels runs across the box, and the logits jump where a
threshold is crossed. Both halves of two images must agree, else the code is not one of single pixels (JPEG is not).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import field, replace
from typing import Any

import torch
from torch import Tensor

from sparring.attack import Attack, register
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.outcome import LADDER
from sparring.audit.cascade.wrappers import subject
from sparring.audit.suites.stage import Stage
from sparring.batches import run_batches
from sparring.bout import Bout
from sparring.losses import margin
from sparring.model import Model
from sparring.norms import L0, L1, L2, Linf, Norm

GRID = 256
SAME = 1e-5
"of the largest logit: what another size of batch does to rounding"
MOST = 64
"thresholds: with more, straight-through gradients serve as well"
HALVINGS = 20
STEPS = 40
JUST = 1e-5
"of the box: how far beyond a threshold a pixel is put"
CODED = Stage("Code flips", "code-flips", "adaptive", full_on_subset=False)
PLACE = (LADDER, 1001)
"behind all stages that a suite may have, and the latent attack"

Price = Callable[[Tensor, float], Tensor]
PRICES: dict[Norm, Price] = {
    L0: lambda size, eps: (size > 0).to(size.dtype) / max(eps, 1.0),
    L1: lambda size, eps: size / eps,
    L2: lambda size, eps: (size / eps).square(),
    Linf: lambda size, eps: torch.where(size <= eps * (1 + 1e-6), 1e-9 * (size > 0), torch.inf).to(size.dtype),
}
"the share of the whole budget that a pixel takes which is moved by `size`, by the norm"


def thresholds(model: Model, x: Tensor) -> tuple[float, ...]:
    """The values at which a pixel's code changes, in order; none where pixels are not coded one by one, or finely.

    Args:
        x: [n, ...] images, n >= 2; two are used.
    """
    low, high = model.box
    half = (torch.arange(x[0].numel()) * 7919 % 2 == 0).reshape(x[0].shape)
    grid = torch.linspace(low, high, GRID)
    with model.guard(), torch.no_grad():
        point = model.accept(x[:2]).cpu()
        found = [_jumps(model, image, mask, grid) for image in point for mask in (half, ~half)]
    most = max(found, key=len)
    near = (high - low) / GRID
    agreed = [t for t in most if sum(bool((other - t).abs().min() < near) for other in found if len(other)) >= 2]
    steady = bool(agreed) and len(agreed) <= MOST and all(len(other) <= len(agreed) + 1 for other in found)
    return tuple(float(t) for t in agreed) if steady else ()


def _jumps(model: Model, image: Tensor, mask: Tensor, grid: Tensor) -> Tensor:
    """[t] where the logits jump as the pixels of `mask` run through `grid`; more than `MOST` are not refined."""

    def asked(values: Tensor) -> Tensor:
        shown = torch.where(mask, values.reshape(-1, *[1] * image.dim()).to(image), image)
        return torch.cat([model.logits(model.accept(part)).cpu() for part in torch.split(shown, 256)])

    logits = asked(grid)
    at = _apart(logits[1:], logits[:-1]).nonzero().squeeze(1)
    low, high, before = grid[at].double(), grid[at + 1].double(), logits[at]
    for _ in range(HALVINGS if 0 < len(at) <= MOST else 0):
        middle = (low + high) / 2
        same = ~_apart(asked(middle), before)
        low, high = torch.where(same, middle, low), torch.where(same, high, middle)
    return (low + high) / 2


def _apart(one: Tensor, other: Tensor) -> Tensor:
    return (one - other).abs().amax(1) > SAME * one.abs().amax(1).clamp(min=1.0)


@register(
    "code-flips",
    title="Code flips",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    specificity=("untargeted",),
    approach="gradient",
    year=2026,
    paper="",
    listed=False,
)
class CodeFlips(Attack):
    """Moves pixels across the thresholds of a code, the best bargains first.

    Args:
        at: the thresholds, in order. steps: in which the budget is spent.
        power: of the price in the bargain; 0 looks at the gain alone.
    """

    at: tuple[float, ...] = field(default=(0.5,))
    steps: int = STEPS
    power: float = 1.0

    def settings(self) -> dict[str, Any]:
        """None that is worth telling."""
        return {}

    def run(self, bout: Bout) -> None:
        edges = torch.tensor(self.at).to(bout.x)
        just = JUST * bout.ball.width
        price = PRICES[bout.ball.norm]
        cells = torch.cat([edges.new_full((1,), bout.ball.box[0]), edges, edges.new_full((1,), bout.ball.box[1])])
        centres = (cells[1:] + cells[:-1]) / 2
        z = bout.x.clone()
        moved = torch.zeros_like(z, dtype=torch.bool)
        for _ in range(self.steps):
            z, moved = bout.active(z, moved)
            if not len(bout):
                return
            g = bout.grad(z, margin)
            now = torch.bucketize(z, edges)
            after = (now + g.sign().long()).clamp(0, len(edges))
            up = edges[(after - 1).clamp(min=0)] + just
            down = edges[after.clamp(max=len(edges) - 1)] - just
            goal = torch.where(after > now, up, torch.where(after < now, down, z))
            eps = float(bout.eps.amin())
            cost = price((goal - bout.x).abs(), eps) - price((z - bout.x).abs(), eps)
            gain = g.abs() * (centres[after] - centres[now]).abs()
            z, moved = _bought(z, goal, moved, gain, cost, price((z - bout.x).abs(), eps), self)
        bout.submit(bout.ball.project(z))


def _bought(
    z: Tensor, goal: Tensor, moved: Tensor, gain: Tensor, cost: Tensor, spent: Tensor, how: CodeFlips
) -> tuple[Tensor, Tensor]:
    """The best bargains that are left to be had: a step's share of the budget, or of the pixels, at least one pixel."""
    cost = cost.clamp(min=1e-12).flatten(1)
    left = 1 - spent.flatten(1).sum(1, keepdim=True)
    able = (gain.flatten(1) > 0) & ~moved.flatten(1) & (cost <= left)
    worth = torch.where(able, gain.flatten(1) / cost**how.power, -torch.inf)
    order = worth.argsort(dim=1, descending=True)
    bill = torch.where(able, cost, 0.0).gather(1, order).cumsum(1)
    rank = torch.arange(order.shape[1], device=z.device)[None]
    many = (able.sum(1, keepdim=True) / how.steps).ceil().clamp(min=1)
    share = ((bill <= 1 / how.steps) | (rank == 0)) & (rank < many) & (bill <= left)
    taken = torch.zeros_like(able).scatter(1, order, share) & able
    taken = taken.reshape(z.shape)
    return torch.where(taken, goal, z), moved | taken


def run_coded(cascade: Cascade, model: Model, levels: tuple[float, ...]) -> None:
    """On the images that stand, where the probes found a code with these thresholds."""
    rows = cascade.standing.nonzero().squeeze(1)
    if not levels or not len(rows) or model.access != "gradient" or cascade.draws:
        return
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    began = time.perf_counter()
    shown = model.exposed()
    seen = shown if shown is not model else subject(model, "detour", x)
    known = {"batch_size": cascade.batch_size, "seed": cascade.seed}
    tries = [CodeFlips(at=levels, power=power) for power in (1.0, 0.5)]
    results = [run_batches(one, seen, (x, y), cascade.threat, **known) for one in tries]  # type: ignore[arg-type]
    best = results[0]
    for other in results[1:]:
        better = (other.distance < best.distance) | (~best.success & (other.margin > best.margin))
        best = replace(
            best,
            x_adv=_where(better, other.x_adv, best.x_adv),
            success=_where(better, other.success, best.success),
            distance=_where(better, other.distance, best.distance),
            margin=_where(better, other.margin, best.margin),
            first_hit=_where(better, other.first_hit, best.first_hit),
            queries=best.queries + other.queries,
            gradients=best.gradients + other.gradients,
        )
    cascade.add(CODED, rows, replace(best, attack=CODED.title, seconds=time.perf_counter() - began), PLACE)


def _where(rows: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """`one` in the `rows` [B] that are True, `other` in the rest."""
    return torch.where(rows.reshape(-1, *[1] * (other.dim() - 1)), one, other)
