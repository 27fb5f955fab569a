"""A jump from the boundary to where it fools for sure, in lock-step: shorter until it does, or longer until it does."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparring.blocks.decision.ask import ask
from sparring.blocks.decision.bisect import Path
from sparring.bout import Bout

HALVINGS = 12
DOUBLINGS = 6


def shorten(bout: Bout, path: Path, length: Tensor) -> tuple[Tensor, Tensor]:
    """Lengths [b], halved until the path fools there, and bool [b], whether it does."""
    hit = torch.zeros_like(length, dtype=torch.bool)
    for _ in range(HALVINGS):
        hit = hit | ask(bout, path(length), ~hit)
        if bool(hit.all()):
            break
        length = torch.where(hit, length, length / 2)
    return length, hit


def lengthen(bout: Bout, path: Path, length: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Lengths [b], doubled until the path fools there, the longest that did not [b], and whether one does, bool [b]."""
    hit, below = torch.zeros_like(length, dtype=torch.bool), torch.zeros_like(length)
    for _ in range(DOUBLINGS):
        hit = hit | ask(bout, path(length), ~hit)
        if bool(hit.all()):
            break
        below = torch.where(hit, below, length)
        length = torch.where(hit, length, 2 * length)
    return length, below, hit


def land(bout: Bout, z: Tensor, path: Path, length: Tensor) -> tuple[Tensor, Tensor]:
    """Points [b, ...] of the path that fool, its length halved until they do (others: `z`), and bool [b], which do."""
    length, hit = shorten(bout, path, length)
    return torch.where(bout.ball.column(hit), path(length), z), hit


def widen(bout: Bout, path: Path, angle: Tensor, rows: Tensor, rounds: int) -> Tensor:
    """The largest angles [b] known to fool, of rows where `angle` does: doubled while it fools, then bisected."""
    good, bad = angle, torch.full_like(angle, math.inf)
    for _ in range(rounds):
        new = torch.where(bad.isfinite(), (good + bad) / 2, 2 * good).clamp(max=math.pi / 2)
        still = rows & (new > good)
        hit = ask(bout, path(new), still)
        good, bad = torch.where(hit, new, good), torch.where(still & ~hit, new, bad)
    return good
