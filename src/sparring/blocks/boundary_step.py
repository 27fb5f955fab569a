"""The step of a search along a boundary: the smallest perturbation on a plane, within a trust region round the last.

    min |u|_p   so that   <b, u - d> = gap,   |u - d|_2 <= r,   low <= u <= high

Its dual has two unknowns: `shift` for the plane, `press` for the trust region. For a press >= 0 the points are

    L2    clip((1 - press) d - shift b, low, high)
    L1    clip(soft(d - shift b, press), low, high)
    Linf  clip(d - shift b, low, high), and to a peak that is lower by `press`
    L0    as L1, but a pixel of size m is pressed by press / (m + floor): step by step that counts pixels

Press 0 is the nearest point of the plane to d; the harder the press, the smaller the point and the longer the step.
Both equations are piecewise simple, linear in the shift and quadratic in the press. So each round solves the piece that
it is on, inside a bracket; 2 to 4 rounds are the rule. All rows of a batch go together, and none influences another.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.kernels import nonzero
from sparring.norms import L0, L1, L2, Linf, Norm

ROUNDS = 40
"at most, for the shift and for the press"
EXACT = 1e-5
"by how much the plane may be missed, in radii of the trust region"
ENOUGH = 100.0
"times the largest pixel that a press cuts off: more gains nothing but rounding, as where the plane's slopes are alike"
NEARLY = 0.01
"by what share that radius may be missed"


class Problem(NamedTuple):
    """The steps of a batch, flattened to [B, n], with a `b` of length 1.

    Attributes:
        d, b, low, high: [B, n] as for `boundary_step`. square: [B, n] of b. target: [B] <b, u> on the plane. r: [B].
        miss: [B] by how much the plane may be missed. weight: [B, n] of the pixels, where they differ.
        peak: [B] the Linf size of the point of press 0.
    """

    d: Tensor
    b: Tensor
    low: Tensor
    high: Tensor
    square: Tensor
    target: Tensor
    r: Tensor
    miss: Tensor
    weight: Tensor | None
    peak: Tensor

    def rows(self, at: Tensor) -> Problem:
        return self if len(at) == len(self.r) else Problem(*(None if v is None else v[at] for v in self))  # type: ignore[arg-type]


class Press:
    """The points of one press [B], by their shift. `Press(p, press)` is that of L2."""

    def __init__(self, p: Problem, press: Tensor) -> None:
        self.p = p
        self.low, self.high = p.low, p.high
        self.start = p.d * (1 - press)[:, None]

    def points(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The points [B, n] of shifts [B], and bool [B, n]: which pixels follow the shift."""
        wanted = torch.addcmul(self.start, shift[:, None], self.p.b, value=-1)
        u = wanted.clamp(self.low, self.high)
        return u, u == wanted

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        """How the points `u` move with the press, the shift left alone: [B, n]."""
        return -self.p.d * free

    @staticmethod
    def hardest(p: Problem, best: Tensor) -> Tensor:
        """[B] a press that is never exceeded; `best` [B, n] are the smallest points of the plane."""
        return torch.ones_like(p.r)

    @staticmethod
    def enough(p: Problem) -> Tensor:
        """[B] a press after which the search ends where the points are still too near."""
        return torch.full_like(p.r, torch.inf)


class _Sparse(Press):
    """L1 and L0: small pixels are pressed to zero."""

    def __init__(self, p: Problem, press: Tensor) -> None:
        self.p, self.start = p, p.d
        self.cut = press[:, None] if p.weight is None else press[:, None] * p.weight

    def points(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        wanted = torch.addcmul(self.start, shift[:, None], self.p.b, value=-1)
        wanted -= wanted.clamp(-self.cut, self.cut)
        u = wanted.clamp(self.p.low, self.p.high)
        return u, (u == wanted).logical_and_(u)

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        turn = -u.sign() * free
        return turn if self.p.weight is None else turn * self.p.weight

    @staticmethod
    def hardest(p: Problem, best: Tensor) -> Tensor:
        return torch.full_like(p.r, torch.inf)

    @staticmethod
    def enough(p: Problem) -> Tensor:
        largest = torch.maximum(p.low.abs(), p.high.abs()).amax(1)
        return ENOUGH * largest / (1 if p.weight is None else p.weight.amin(1))


class _Peak(Press):
    """Linf: what sticks out is pressed down."""

    def __init__(self, p: Problem, press: Tensor) -> None:
        self.p, self.start = p, p.d
        self.cap = (p.peak - press)[:, None]
        self.low, self.high = torch.maximum(p.low, -self.cap), torch.minimum(p.high, self.cap)

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        return -u.sign() * (u.abs() == self.cap)

    @staticmethod
    def hardest(p: Problem, best: Tensor) -> Tensor:
        return p.peak - best.abs().amax(1)


PRESS: Mapping[Norm, type[Press]] = {L0: _Sparse, L1: _Sparse, L2: Press, Linf: _Peak}


def boundary_step(
    norm: Norm, d: Tensor, b: Tensor, gap: Tensor, r: Tensor, low: Tensor, high: Tensor, floor: float = 0.1
) -> Tensor:
    """The smallest perturbation on the plane, within `r` of `d` and the bounds; where there is none, towards the plane.

    Args:
        d: [B, ...] the perturbation now, between `low` and `high` [B, ...]. b: [B, ...] the slope of the margin.
        gap: [B] what <b, u - d> should be. r: [B] the radius of the trust region, an L2 length.
        floor: under L0, the size of a pixel that counts half.

    Returns:
        u [B, ...]; rows whose `b` is zero stay where they are.
    """
    shape = d.shape
    d, b, low, high = (value.flatten(1) for value in (d, b, low, high))
    length = torch.linalg.vector_norm(b, dim=1)
    b, gap = b / nonzero(length)[:, None], gap / nonzero(length)
    p = Problem(
        d=d,
        b=b,
        low=low,
        high=high,
        square=b.square(),
        target=torch.linalg.vecdot(b, d) + gap,
        r=r,
        miss=EXACT * r + 2 * torch.finfo(d.dtype).eps * torch.linalg.vector_norm(d, dim=1),
        weight=1 / (d.abs() + floor) if norm == L0 else None,
        peak=torch.zeros_like(r),
    )
    uphill = b * gap.sign()[:, None]
    room = torch.maximum(uphill * (low - d), uphill * (high - d)).sum(1)
    at = (room > gap.abs()).nonzero().squeeze(1)  # the plane meets the box
    near, shift = torch.full_like(d, torch.inf), torch.zeros_like(r)
    if len(at):
        there, _, near[at], _ = _on_plane(Press, p.rows(at), shift[at], shift[at])
        shift[at] = there
    reached = torch.linalg.vector_norm(near - d, dim=1) <= r

    u = near
    at = (~reached).nonzero().squeeze(1)
    if len(at):
        u[at] = d[at] + L2.linear_maximizer(uphill[at], r[at], low[at] - d[at], high[at] - d[at])
    at = reached.nonzero().squeeze(1)
    if len(at):
        u[at] = _smallest(norm, p.rows(at)._replace(peak=near[at].abs().amax(1)), shift[at])
    return u.reshape(shape)


def _smallest(norm: Norm, p: Problem, shift: Tensor) -> Tensor:
    """[B, n] the solution where the trust region reaches the plane; `shift` [B] is that of press 0."""
    if p.weight is None:
        best = norm.to_hyperplane(p.b, p.target, p.low, p.high)
    else:
        best = L1.to_hyperplane(p.b / p.weight, p.target, p.low * p.weight, p.high * p.weight) / p.weight
        fewest = L0.to_hyperplane(p.b, p.target, p.low, p.high)
        at = (torch.linalg.vector_norm(fewest - p.d, dim=1) <= p.r).nonzero().squeeze(1)
        best[at] = fewest[at]
    beyond = (torch.linalg.vector_norm(best - p.d, dim=1) > p.r).nonzero().squeeze(1)
    if len(beyond):
        p, hardest = p.rows(beyond), PRESS[norm].hardest(p, best)[beyond]
        best[beyond] = _pressed(PRESS[norm], p, shift[beyond], hardest)
    return best


def _pressed(kind: type[Press], p: Problem, shift: Tensor, hardest: Tensor) -> Tensor:
    """[B, n] the points of the plane that are `r` away from d."""
    press, low, high, enough = torch.zeros_like(p.r), torch.zeros_like(p.r), hardest, kind.enough(p)
    shift, now, u, free = _on_plane(kind, p, shift, press)
    length = torch.linalg.vector_norm(u - p.d, dim=1)
    settled = torch.zeros_like(press, dtype=torch.bool)
    for _ in range(ROUNDS):
        turn, follow = now.turn(u, free), p.b * free
        stiff = torch.linalg.vecdot(p.b, follow)
        pull = torch.where(stiff > 0, torch.linalg.vecdot(p.b, turn) / nonzero(stiff), 0)
        along = torch.addcmul(turn, pull[:, None], follow, value=-1)  # u moves so, until a pixel stops or starts
        square, slope = torch.linalg.vecdot(along, along), torch.linalg.vecdot(u - p.d, along)
        root = (slope.square() + square * (p.r.square() - length.square())).clamp(min=0).sqrt()
        roof = torch.minimum(high, 4 * low + p.r)
        guess = press + (root - slope) / nonzero(square)
        inside = (square > 0) & (guess > low) & (guess < roof)
        guess = torch.where(inside, guess, torch.where(high.isinf(), roof, (low + high) / 2))
        guess = torch.where(settled, press, guess)
        shift, now, u, free = _on_plane(kind, p, shift + torch.where(inside, pull * (guess - press), 0), guess)
        press, length = guess, torch.linalg.vector_norm(u - p.d, dim=1)
        settled |= ((length - p.r).abs() <= NEARLY * p.r) | ((length < p.r) & (press >= enough))
        if bool(settled.all()):
            break
        low, high = torch.where(length <= p.r, press, low), torch.where(length > p.r, press, high)
    return u


def _on_plane(kind: type[Press], p: Problem, shift: Tensor, press: Tensor) -> tuple[Tensor, Press, Tensor, Tensor]:
    """The shifts [B], from those given, that bring the points of a press [B] onto the plane; and `Press.points`."""
    now, reach, last = kind(p, press), p.r, 4 * torch.finfo(shift.dtype).eps
    low, high = torch.full_like(shift, -torch.inf), torch.full_like(shift, torch.inf)
    for _ in range(ROUNDS):
        u, free = now.points(shift)
        over = torch.linalg.vecdot(p.b, u) - p.target
        settled = (over.abs() <= p.miss) | (high - low <= last * shift.abs())  # or shifts are not told apart
        if bool(settled.all()):
            break
        low, high = torch.where(over > 0, shift, low), torch.where(over < 0, shift, high)
        stiff = torch.linalg.vecdot(p.square, free.to(u.dtype))
        guess = shift + over / nonzero(stiff)
        inside = (stiff > 0) & (guess > low) & (guess < high)
        middle = (low + high) / 2
        middle = torch.where(middle.isfinite(), middle, shift + over.sign() * reach)
        reach = torch.where(inside, reach, 2 * reach)
        shift = torch.where(settled, shift, torch.where(inside, guess, middle))
    return shift, now, u, free
