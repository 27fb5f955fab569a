"""Descent on distance plus penalty along random directions of a code, from scores: a run for `search_constant`.

    g = mean over q directions u of (d / beta) [f(code + beta u) - f(code)] u;   code by Adam;   q = 1 until it fools

f = |D(code)|_2^2 + c * max(confidence - margin(x + D(code)), 0), d the size of the code, u on the unit sphere.
Tu et al. 2018, arXiv:1805.11770 (AutoZOOM).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.decision.ask import clip_many
from sparring.blocks.directions import Memory, adam
from sparring.blocks.estimators.decoders import Decoder
from sparring.blocks.estimators.directions import sphere
from sparring.blocks.penalty.constants import Ledger
from sparring.bout import Bout
from sparring.losses import margin
from sparring.norms import L2

NEARER = 0.25
"how long the steps of a row that has been fooled are, of those before: now the distance counts"


class Plan(NamedTuple):
    """How to descend: see the fields of `AutoZOOM`."""

    decoder: Decoder
    steps: int
    samples: int
    beta: float
    lr: float
    confidence: float


def descend(
    bout: Bout, start: Tensor, size: Tensor, c: Tensor, code: Tensor, plan: Plan
) -> tuple[Tensor, Tensor, Tensor]:
    """Minimise over perturbations D(code) of `start` [b, ...], from the codes `code`; the outcome of a `Ledger`.

    A step costs one query for the point and one a direction: one direction until the row is fooled, then
    `plan.samples`. A row leaves when its cost has set no new low, by 0.01 %, for a third of the steps.
    """
    ledger, rule = Ledger(start, size), adam()
    memory: Memory = {}
    row = {
        "start": start, "code": code, "c": c, "at": torch.arange(len(c), device=c.device),
        "low": torch.full_like(c, torch.inf), "age": torch.zeros_like(c),
        "fooled": torch.zeros_like(c, dtype=torch.bool), "past": size.isfinite(),
    }  # fmt: skip
    for _ in range(plan.steps):
        g, z, missing, far = gradient(bout, row["start"], row["code"], row["c"], row["fooled"] | row["past"], plan)
        ledger.note(row["at"], z, far, missing == 0)
        cost = far.square() + row["c"] * missing
        first = (missing == 0) & ~row["fooled"] & ~row["past"]
        row["fooled"] = row["fooled"] | (missing == 0)
        lower = cost < row["low"] * (1 - 1e-4)
        row["low"] = torch.where(lower, cost, row["low"])
        row["age"] = torch.where(lower, 0, row["age"] + 1)
        row, memory, g, first = bout.active(row, memory, g, first, done=row["age"] >= max(plan.steps // 3, 1))
        if not len(bout):
            break
        memory = _forget(memory, first)
        direction, memory = rule(g, memory)
        rate = plan.lr * bout.ball.width * torch.where(row["fooled"] | row["past"], NEARER, 1.0).to(g.dtype)
        row["code"] = row["code"] - rate.reshape(-1, *[1] * (g.dim() - 1)) * direction
    return ledger.outcome


def gradient(
    bout: Bout, start: Tensor, code: Tensor, c: Tensor, fooled: Tensor, plan: Plan
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The estimate [b, *code], the point itself [b, ...], what it is short of fooling [b] and its distance [b].

    Directions that meet NaN or Inf are left out. A point that does is infinitely short, and goes by the distance alone.
    """
    shape, count = tuple(bout.x.shape[1:]), plan.samples
    step = probe_length(bout, plan.beta, code)
    u = sphere(bout.noise, count, code)
    codes = torch.cat([code[:, None], code[:, None] + step * u], 1)
    moved = plan.decoder(codes.flatten(0, 1), shape).reshape(len(code), count + 1, *shape)
    points = clip_many(bout, start[:, None] + moved)
    wanted = torch.arange(count + 1, device=c.device) <= torch.where(fooled, count, 1)[:, None]
    margins = bout.candidate_losses(points, margin, wanted).double()
    known = margins.isfinite()
    here = known[:, 0]
    short = torch.where(known & here[:, None], (plan.confidence - margins).clamp(min=0), 0)
    far = L2.size((points - bout.x[:, None]).flatten(0, 1)).reshape(short.shape).double()
    cost = far.square() + c[:, None] * short
    heard = wanted[:, 1:] & (known[:, 1:] | ~here[:, None])
    gain = torch.where(heard, cost[:, 1:] - cost[:, :1], 0) * code[0].numel() / step
    weight = (gain / heard.sum(1, keepdim=True).clamp(min=1)).to(code.dtype)
    g = (weight.reshape(*weight.shape, *[1] * (code.dim() - 1)) * u).sum(1)
    enough = here & (margins[:, 0] > plan.confidence)
    missing = torch.where(enough, 0, short[:, 0].clamp(min=torch.finfo(code.dtype).tiny))
    missing = torch.where(here, missing, torch.inf)
    return g, points[:, 0], missing.to(code.dtype), far[:, 0].to(code.dtype)


def probe_length(bout: Bout, beta: float, code: Tensor) -> float:
    """`beta` of the box width; on a grid, as far as changes most values by a step of it."""
    levels = bout.ball.levels
    grid = 0.0 if levels is None else code[0].numel() ** 0.5 / (levels - 1)
    return bout.ball.width * max(beta, grid)


def _forget(memory: Memory, rows: Tensor) -> Memory:
    """Adam begins anew for the rows that have just been fooled, as their gradient has changed."""
    return {name: torch.where(rows.reshape(-1, *[1] * (value.dim() - 1)), 0, value) for name, value in memory.items()}


def estimated_constant(bout: Bout, c: float | None, probes: int, beta: float, times: float = 3.0) -> Tensor:
    """[b] `c` for every row; where it is None, what is fair, from `probes` random slopes in pixels."""
    if c is not None:
        return torch.full_like(bout.eps, c)
    step, d = probe_length(bout, beta, bout.x), bout.x[0].numel()
    points = torch.cat(
        [bout.x[:, None], clip_many(bout, bout.x[:, None] + step * sphere(bout.noise, probes, bout.x))], 1
    )
    margins = bout.candidate_losses(points, margin)
    slopes = (margins[:, 1:] - margins[:, :1]) / step
    square = d * torch.where(slopes.isfinite(), slopes, torch.nan).square().nanmean(1)
    fair = 2 * times * -margins[:, 0] / square
    return torch.where((fair > 0) & fair.isfinite(), fair, 1.0)
