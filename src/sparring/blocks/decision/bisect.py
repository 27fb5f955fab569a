"""Lock-step bisection along a path from the clean image to a point that fools; each row stops when it is near enough.

A path gives, for radii [b], points [b, ...]: straight back to the image, along a direction, on an arc.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparring.blocks.decision.ask import ask
from sparring.bout import Bout

Path = Callable[[Tensor], Tensor]

ROUNDS = 25
"float32 can tell no more radii apart"


def bisect(
    bout: Bout, path: Path, high: Tensor, tolerance: float | Tensor, rows: Tensor, low: Tensor | None = None
) -> Tensor:
    """The smallest radii [b] at which the path is known to fool. One query a round, of the rows still open.

    Nothing is asked below the radius of the ball: a point that fools there is all that is wanted.

    Args:
        high: [b] radii that fool. rows: bool [b], the others keep `high`.
        low: [b] how far down to look, 0 if None. They are not asked: where one fools, the search ends just above it.
        tolerance: a row stops when the ends are this near, as a fraction of `high`; one number, or [b].
    """
    low = torch.zeros_like(high) if low is None else low
    for _ in range(ROUNDS):
        still = rows & (high - low > tolerance * high)
        if not bool(still.any()):
            break
        middle = above(bout, (low + high) / 2, high)
        fooled = ask(bout, path(middle), still)
        high = torch.where(still & fooled, middle, high)
        low = torch.where(still & ~fooled, middle, low)
    return high


def descend(bout: Bout, path: Path, high: Tensor, tolerance: Tensor, rows: Tensor) -> Tensor:
    """As `bisect`, for paths that mostly fool only a little nearer: down from `high` in steps that double, then bisect.

    Args:
        tolerance: [b] the first step, too, as fractions of `high`.
    """
    low, step, still = torch.zeros_like(high), tolerance * high, rows
    tolerance = tolerance * (1 + 1e-3)  # a first step in vain is the end of it, whatever rounding says
    for _ in range(ROUNDS):
        still = still & (high - low > tolerance * high)
        if not bool(still.any()):
            break
        nearer = above(bout, (high - step).clamp(min=0), high)
        fooled = ask(bout, path(nearer), still)
        high, low = torch.where(still & fooled, nearer, high), torch.where(still & ~fooled, nearer, low)
        still, step = still & fooled, 2 * step
    return bisect(bout, path, high, tolerance, rows, low)


def above(bout: Bout, radius: Tensor, high: Tensor) -> Tensor:
    """Radii [b] that are worth a question: no smaller than that of the ball, unless `high` [b] is."""
    eps = bout.eps.to(radius.dtype)
    return torch.where((radius < eps) & (eps < high), eps, radius)


def back(bout: Bout, z: Tensor) -> Path:
    """From `z` back to the clean image: shorter (L2), clipped (Linf), thinned out (L1, L0)."""
    return lambda radius: bout.ball.with_eps(radius).project(z)


def follow(
    bout: Bout,
    z: Tensor,
    path: Path,
    high: Tensor,
    tolerance: float,
    rows: Tensor | None = None,
    low: Tensor | None = None,
) -> Tensor:
    """The points [b, ...] of the path at the smallest radii that fool; `z` [b, ...], at radii `high` [b], where none
    below does. Arguments as for `bisect`; `rows`: None = all."""
    rows = torch.ones_like(high, dtype=torch.bool) if rows is None else rows
    radius = bisect(bout, path, high, tolerance, rows, low)
    return torch.where(bout.ball.column(radius < high), path(radius), z)


def to_boundary(bout: Bout, z: Tensor, tolerance: float, rows: Tensor | None = None) -> Tensor:
    """Points between x and `z` [b, ...] that still fool, the boundary near; `z` must fool. `rows`: others keep z."""
    return follow(bout, z, back(bout, z), bout.ball.distance(z), tolerance, rows)


def duel(
    bout: Bout, paths: Path, high: Tensor, alive: Tensor, rounds: int, split: float = 0.5, ties: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Which of m paths fools nearest, found without measuring any of them: all are asked at the same radius.

    If some fool there, the others are out and the radius shrinks; if none does, it grows again.

    Args:
        paths: radii [b] -> points [b, m, ...]. high: [b] radii to get below. alive: bool [b, m], who takes part.
        split: where between the ends to ask next. ties: `high` itself is asked first, and a path that fools there may
            win; a row stops as soon as one path alone is left, or where none fools at `high`.

    Returns:
        The number of the winner [b], its radius [b], and whether there is one, bool [b].
    """
    low, won = torch.zeros_like(high), torch.zeros_like(high, dtype=torch.bool)
    for turn in range(rounds):
        still = alive.any(1)
        if ties:
            still = still & ~(won & (alive.sum(1) == 1))
        if not bool(still.any()):
            break
        level = ties and turn == 0
        middle = high if level else above(bout, low + split * (high - low), high)
        hits = bout.fooled_many(paths(middle), alive & still[:, None])
        any_hit = hits.any(1)
        high = torch.where(any_hit, middle, high)
        low = torch.where(still & ~any_hit, middle, low)
        alive = hits if level else torch.where(any_hit[:, None], hits, alive)
        won = won | any_hit
    return alive.to(torch.uint8).argmax(1), high, won
