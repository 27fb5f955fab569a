"""The least value of linear functions over a ball cut with the box: how a linear bound becomes a number.

Linf: exact. L1 and L2 by their dual: for any multiplier t >= 0

    min_{|d| <= eps, low <= d <= high} a d  >=  min_{low <= d <= high} a d + t (size(d) - size(eps))

holds (weak duality), whatever t is; the best t is found and held, so that rounding cannot make a bound too good. One of
the t's tried gives the bound of the ball without the box.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.errors import InputError
from sparring.norms import L1, L2, Linf, Norm

ROUNDS = 10
"steps towards the best multiplier under L2"


@dataclass(frozen=True)
class Region:
    """The allowed points around each of B images, flat: x [B, d], low <= z - x <= high, |z - x| <= eps [B]."""

    x: Tensor
    low: Tensor
    high: Tensor
    eps: Tensor
    norm: Norm

    @classmethod
    def of(cls, ball: Ball) -> Region:
        """The region of a ball; its grid is left out, which only makes it larger.

        Raises:
            InputError: a norm that bounds don't know.
        """
        if ball.norm not in (Linf, L2, L1):
            raise InputError(f"bounds work under Linf, L2 and L1, not {ball.norm}")
        e = ball.column(ball.eps)
        low, high = torch.maximum(ball.low, -e).flatten(1), torch.minimum(ball.high, e).flatten(1)
        return cls(ball.x.flatten(1), low, high, ball.eps, ball.norm)

    def __getitem__(self, rows: Tensor) -> Region:
        x, low, high, eps = (taken(value, rows) for value in (self.x, self.low, self.high, self.eps))
        return Region(x, low, high, eps, self.norm)

    def to(self, dtype: torch.dtype) -> Region:
        """The same in another precision."""
        return Region(self.x.to(dtype), self.low.to(dtype), self.high.to(dtype), self.eps.to(dtype), self.norm)

    @property
    def box(self) -> tuple[Tensor, Tensor]:
        """The smallest and the largest value of each pixel: [B, d] each."""
        return self.x + self.low, self.x + self.high

    def least(self, a: Tensor) -> Tensor:
        """Rows of coefficients [B, d], one an image -> their least value [B]. Differentiable in a."""
        cap = torch.where(a > 0, self.low, self.high)  # as far as the box lets each pixel go downhill
        if self.norm is Linf:
            return products(a, self.x + cap)
        change = _least_l2(a, cap, self.eps) if self.norm is L2 else _least_l1(a, cap, self.eps)
        return products(a, self.x) + change

    def lowest(self, a: Tensor) -> Tensor:
        """The points [B, d] of the region, or of its box, where `least` is reached, nearly for L2."""
        if self.norm is Linf:
            return self.x + torch.where(a > 0, self.low, self.high)
        return self.x + self.norm.linear_maximizer(-a, self.eps, self.low, self.high)


def _least_l1(a: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """max_t -sum (|a| - t)+ |cap| - t eps; the best t is the gain of the last pixel that eps pays for."""
    gain, room = a.abs(), cap.abs()
    with torch.no_grad():
        order = gain.argsort(1, descending=True)
        spent = room.gather(1, order).cumsum(1)
        last = (spent < eps[:, None]).sum(1, keepdim=True)
        inside = last < gain.shape[1]
        t = gain.gather(1, order.gather(1, last.clamp(max=gain.shape[1] - 1))) * inside
    return -((gain - t).clamp(min=0) * room).sum(1) - t[:, 0] * eps


def _least_l2(a: Tensor, cap: Tensor, eps: Tensor) -> Tensor:
    """max_t min_d a d + t / 2 (d d - eps eps), d = clamp(-a / t, cap)."""
    gain, room = a.abs(), cap.abs()
    with torch.no_grad():
        alone = (gain.norm(dim=1) / eps.clamp(min=1e-12))[:, None]
        squared, most, t = gain.square(), room.square(), alone
        for _ in range(ROUNDS):  # downwards: pixels that the box stops leave more of eps to the others
            held = gain > t * room
            left = eps.square() - (most * held).sum(1)
            t = ((squared * ~held).sum(1) / left.clamp(min=1e-12)).sqrt()[:, None] * (left > 0)[:, None]
        better = _dual(gain, room, t, eps) > _dual(gain, room, alone, eps)
        t = torch.where(better[:, None], t, alone)
    return _dual(gain, room, t, eps)


def _dual(gain: Tensor, room: Tensor, t: Tensor, eps: Tensor) -> Tensor:
    move = torch.where(gain < t * room, gain / t.clamp(min=1e-30), room)
    return (t / 2 * move.square() - gain * move).sum(1) - t[:, 0] / 2 * eps.square()


def taken(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows]; numbers of rows are copied a row at a time, which is several times faster than `values[rows]`."""
    return values.index_select(0, rows) if rows.dtype is torch.int64 and rows.dim() == 1 else values[rows]


def products(a: Tensor, b: Tensor) -> Tensor:
    """[B] the sums of the products of each row."""
    return (a * b).flatten(1).sum(1)
