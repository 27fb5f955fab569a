"""The step of a search along a boundary: the smallest perturbation on a plane, within a trust region around the last.

    min |u|_p   so that   <b, u - d> = gap,   |u - d|_2 <= r,   low <= u <= high

Its dual has two unknowns: `shift` for the plane and `press` for the trust region. For each press >= 0 the points are

    L2    clip((1 - press) d - shift b)
    L1    clip(soft(d - shift b, press))
    Linf  clip(d - shift b), and to a peak that is lower by `press`
    L0    as L1, a pixel of size m pressed by 1 / (m + floor): a few such steps in a row count pixels, not sums

Press 0 is the nearest point of the plane; the harder the press, the smaller the point and the longer the step. Both
equations are piecewise linear or quadratic, so that each round solves the piece it is on; brackets keep it from going
astray. All rows of a batch go together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from sparring.kernels import nonzero
from sparring.norms import L0, L1, L2, Linf, Norm

ROUNDS = 40
"of the search for the shift, and for the press, at most; 2 to 4 are the rule"
EXACT = 1e-5
"by how much the plane may be missed, of the radius of the trust region"
NEARLY = 1e-2
"by what share that radius may be missed"


class Problem(NamedTuple):
    """The problem, rows flattened to [B, n], `b` of length 1.

    Attributes:
        d, b, low, high: [B, n] as for `boundary_step`. square: [B, n] of b. target: [B] <b, u> on the plane. r: [B].
        miss: [B] by how much the plane may be missed. weight: [B, n] what a unit of each pixel costs (L0); else None.
        peak: [B] the Linf size of the nearest point of the plane.
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
        return Problem(*(None if value is None else value[at] for value in self))


class Press:
    """The points of one press [B], as a function of the shift: clip(soft(base - shift b, cut), low, high)."""

    def __init__(self, p: Problem, press: Tensor) -> None:
        self.p, self.base, self.low, self.high = p, p.d, p.low, p.high
        self.press(press[:, None])

    def press(self, press: Tensor) -> None:
        """Take in the press [B, 1]."""
        raise NotImplementedError

    def wanted(self, shift: Tensor) -> Tensor:
        """The points [B, n] before they are clipped."""
        return torch.addcmul(self.base, shift[:, None], self.p.b, value=-1)

    def points(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        """The points [B, n], and bool [B, n]: which pixels follow the shift."""
        wanted = self.wanted(shift)
        u = wanted.clamp(self.low, self.high)
        return u, u == wanted

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        """The slope of the points `u` in the press: [B, n]."""
        raise NotImplementedError


class _L2(Press):
    def press(self, press: Tensor) -> None:
        self.base = self.p.d * (1 - press)

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        return -self.p.d * free


class _L1(Press):
    def press(self, press: Tensor) -> None:
        self.cut = press if self.p.weight is None else press * self.p.weight

    def points(self, shift: Tensor) -> tuple[Tensor, Tensor]:
        wanted = self.wanted(shift)
        wanted -= wanted.clamp(-self.cut, self.cut)
        u = wanted.clamp(self.low, self.high)
        return u, (u == wanted).logical_and_(u)

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        turn = -u.sign() * free
        return turn if self.p.weight is None else turn * self.p.weight


class _Linf(Press):
    def press(self, press: Tensor) -> None:
        self.cap = self.p.peak[:, None] - press
        self.low, self.high = torch.maximum(self.p.low, -self.cap), torch.minimum(self.p.high, self.cap)

    def turn(self, u: Tensor, free: Tensor) -> Tensor:
        return -u.sign() * (u.abs() == self.cap)


PRESS: dict[Norm, type[Press]] = {L0: _L1, L1: _L1, L2: _L2, Linf: _Linf}


def boundary_step(
    norm: Norm, d: Tensor, b: Tensor, gap: Tensor, r: Tensor, low: Tensor, high: Tensor, floor: float = 0.1
) -> Tensor:
    """The smallest perturbation on the plane, within `r` of `d` and the bounds; as near to the plane as can be else.

    Args:
        d: [B, ...] the perturbation now, between `low` and `high` [B, ...]. b: [B, ...] the slope of the margin.
        gap: [B] what <b, u - d> should be. r: [B] the radius of the trust region, an L2 length.
        floor: of L0, the size of a pixel that counts half.

    Returns:
        [B, ...] u. Rows whose `b` is zero stay.
    """
    shape = d.shape
    d, b, low, high = (value.flatten(1) for value in (d, b, low, high))
    length = torch.linalg.vector_norm(b, dim=1)
    b, gap = b / nonzero(length)[:, None], gap / nonzero(length)
    u = d.clone()
    room = torch.maximum(b * (gap.sign()[:, None] * (low - d)), b * (gap.sign()[:, None] * (high - d))).sum(1)
    target = torch.linalg.vecdot(b, d) + gap
    miss = EXACT * r + 2 * torch.finfo(d.dtype).eps * torch.linalg.vector_norm(d, dim=1)
    weight = 1 / (d.abs() + floor) if norm == L0 else None
    p = Problem(d, b, low, high, b.square(), target, r, miss, weight, torch.full_like(r, torch.inf))

    at = (length > 0).nonzero().squeeze(1)
    near, shift = torch.zeros_like(d), torch.zeros_like(r)
    reached = (room > gap.abs()) & (length > 0)
    flat = _L1 if norm in (L0, L1) else _L2
    if len(p.r):
        p0 = p._replace(target=torch.where(reached, target, torch.linalg.vecdot(b, d)))
        shift, press, near, free = _on_plane(PRESS[L2], p0, shift, torch.zeros_like(r))
    reached &= torch.linalg.vector_norm(near - d, dim=1) <= r
    at = (~reached & (length > 0)).nonzero().squeeze(1)
    if len(at):
        toward = L2.linear_maximizer(b[at] * gap[at].sign()[:, None], r[at], low[at] - d[at], high[at] - d[at])
        u[at] = d[at] + toward
    at = reached.nonzero().squeeze(1)
    if len(at):
        p, shift = p._replace(peak=near.abs().amax(1)), shift
        if len(at) < len(p.r):
            p, shift = p.rows(at), shift[at]
        best = _best(norm, p)
        ok = torch.linalg.vector_norm(best - p.d, dim=1) <= p.r
        if bool(ok.any()):
            u[at[ok]] = best[ok]
            at, p, best, shift = at[~ok], p.rows(~ok), best[~ok], shift[~ok]
    if len(at):
        u[at] = _pressed(PRESS[norm], p, shift, _most(norm, p, best))
    return u.reshape(shape)


def _best(norm: Norm, p: Problem) -> Tensor:
    """[B, n] the smallest points of the plane, wherever they are."""
    if p.weight is None:
        return norm.to_hyperplane(p.b, p.target, p.low, p.high)
    return L1.to_hyperplane(p.b / p.weight, p.target, p.low * p.weight, p.high * p.weight) / p.weight


def _most(norm: Norm, p: Problem, best: Tensor) -> Tensor:
    """[B] the press under which the smallest point of the plane would be reached, at most."""
    if norm == Linf:
        return p.peak - best.abs().amax(1)
    return torch.full_like(p.peak, 1.0 if norm == L2 else torch.inf)


def _pressed(kind: type[Press], p: Problem, shift: Tensor, most: Tensor) -> Tensor:
    """The points of the plane at a distance r from d: [B, n]; `shift` [B] that of press 0."""
    press, low, high = torch.zeros_like(p.r), torch.zeros_like(p.r), most
    shift, now, u, free = _on_plane(kind, p, shift, press)
    settled = torch.zeros_like(press, dtype=torch.bool)
    length = torch.linalg.vector_norm(u - p.d, dim=1)
    for _ in range(ROUNDS):
        turn, follow = now.turn(u, free), p.b * free
        pull = torch.linalg.vecdot(p.b, turn) / nonzero(torch.linalg.vecdot(p.b, follow))
        along = torch.addcmul(turn, pull[:, None], follow, value=-1)  # on the plane, as long as no pixel stops
        square, slope = torch.linalg.vecdot(along, along), torch.linalg.vecdot(u - p.d, along)
        missing = p.r.square() - length.square()
        step = ((slope.square() + square * missing).clamp(min=0).sqrt() - slope) / nonzero(square)
        roof = torch.minimum(high, 4 * low + p.r)
        guess = press + step
        inside = (square > 0) & (guess > low) & (guess < roof)
        else_ = torch.where(high.isinf(), roof, (low + high) / 2)
        guess = torch.where(settled, press, torch.where(inside, guess, else_))
        shift, now, u, free = _on_plane(kind, p, shift + pull * (guess - press) * inside, guess)
        press, length = guess, torch.linalg.vector_norm(u - p.d, dim=1)
        settled |= (length - p.r).abs() <= NEARLY * p.r
        if bool(settled.all()):
            break
        low, high = torch.where(length <= p.r, press, low), torch.where(length > p.r, press, high)
    return u


def _on_plane(kind: type[Press], p: Problem, shift: Tensor, press: Tensor) -> tuple[Tensor, Press, Tensor, Tensor]:
    """The shift [B] whose points are on the plane, the press, the points [B, n], and which pixels follow."""
    low, high = torch.full_like(shift, -torch.inf), torch.full_like(shift, torch.inf)
    reach, now = p.r, kind(p, press)
    for _ in range(ROUNDS):
        u, free = now.points(shift)
        over = torch.linalg.vecdot(p.b, u) - p.target
        settled = over.abs() <= p.miss
        if bool(settled.all()):
            break
        low, high = torch.where(over > 0, shift, low), torch.where(over < 0, shift, high)
        slope = torch.linalg.vecdot(p.square, free.to(u.dtype))
        guess = shift + over / nonzero(slope)
        inside = (slope > 0) & (guess > low) & (guess < high)
        middle = (low + high) / 2
        middle = torch.where(middle.isfinite(), middle, shift + over.sign() * reach)
        reach = torch.where(inside, reach, 2 * reach)
        shift = torch.where(settled, shift, torch.where(inside, guess, middle))
    return shift, now, u, free
