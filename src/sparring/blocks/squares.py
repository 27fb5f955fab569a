"""Random squares: the proposals of the Square attack, drawn for each sample on its own.

Andriushchenko et al. 2020, arXiv:1912.00049. The reference code draws one window for the whole batch and
never reaches the last row and column; here each sample has its own, anywhere in the image. L1: Croce & Hein 2021,
arXiv:2103.01208.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.prospects import Bars, Prospects
from sparring.blocks.rises import rises
from sparring.bout import Bout, LossFunction
from sparring.losses import margin
from sparring.norms import L1, L2, Linf, Norm, per
from sparring.rng import Noise

HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"of 10,000 iterations: after each the area of the squares halves"


def area(first: float, k: int, total: int) -> float:
    """The share of the image that a square covers at iteration `k` of `total`."""
    at = int(k / total * 10000)
    return first * math.pow(0.5, sum(at > mark for mark in HALVINGS))


class Squares(ABC):
    """A first point and changes to it. Inputs that are no images are taken as one line of pixels."""

    def start(self, ball: Ball, noise: Noise) -> Tensor:
        """Where the search begins: [b, ...]."""
        return self.first(_image_ball(ball), noise).reshape(ball.x.shape)

    def change(self, ball: Ball, z: Tensor, share: float, noise: Noise) -> Tensor:
        """`z` [b, ...] with one square, that covers a `share` of the image, repainted."""
        return self.repaint(_image_ball(ball), _image(z), share, noise).reshape(z.shape)

    @abstractmethod
    def first(self, ball: Ball, noise: Noise) -> Tensor: ...

    @abstractmethod
    def repaint(self, ball: Ball, z: Tensor, share: float, noise: Noise) -> Tensor: ...


class LinfSquares(Squares):
    """Vertical stripes of +-eps; then squares of one colour, each channel at +eps or -eps.

    As in the authors' code, and unlike AutoAttack's, a colour that the window has already is drawn again: of so many,
    the first that changes a pixel. In grey images every second small square would else be a query for nothing.
    """

    DRAWS = 4

    def first(self, ball: Ball, noise: Noise) -> Tensor:
        _, channels, _, width = ball.x.shape
        return ball.project(ball.x + ball.column(ball.eps) * noise.signs(channels, 1, width, dtype=ball.x.dtype))

    def repaint(self, ball: Ball, z: Tensor, share: float, noise: Noise) -> Tensor:
        channels, height, width = z.shape[1:]
        tall, wide = _sides(share, height, width)
        top, left = noise.below(height - tall + 1, 1), noise.below(width - wide + 1, 1)
        inside = _within(top, tall, height)[:, None, :, None] & _within(left, wide, width)[:, None, None, :]
        step = 2 * ball.column(ball.eps) * inside
        up, down = ball.project(z + step), ball.project(z - step)
        higher, lower = (
            ((to - z).abs() > 1e-6 * ball.column(ball.eps)).flatten(2).any(2)[:, None] for to in (up, down)
        )
        plus = noise.uniform(self.DRAWS, channels) < 0.5  # [b, draws, C]: +eps or -eps
        changes = torch.where(plus, higher, lower).any(2)
        first = torch.where(changes, torch.arange(self.DRAWS, device=z.device), self.DRAWS).amin(1)
        chosen = plus.gather(1, (first % self.DRAWS)[:, None, None].expand(-1, 1, channels))[:, 0]
        chosen = chosen ^ (first == self.DRAWS)[:, None]  # where none does, the opposite of one may
        return torch.where(chosen[:, :, None, None], up, down)


class BumpSquares(Squares):
    """Tiles of a bump and its negative; then a new bump in one window, paid for by the mass of a second window.

    Args:
        norm: L2 or L1, which the mass is measured by. power: of that norm. fall: how fast a bump falls off.
    """

    def __init__(self, norm: Norm, power: int, fall: int) -> None:
        self.norm, self.power, self.fall = norm, power, fall

    def first(self, ball: Ball, noise: Noise) -> Tensor:
        channels, height, width = ball.x.shape[1:]
        side = max(min(height, width) // 5, 1)
        delta = torch.zeros_like(ball.x)
        for top in range((height % side) // 2, height - side + 1, side):
            for left in range((width % side) // 2, width - side + 1, side):
                bumps = self._bumps(side, noise, ball.x) * noise.signs(channels, 1, 1, dtype=ball.x.dtype)
                delta[:, :, top : top + side, left : left + side] += bumps
        return self._full(ball, delta)

    def repaint(self, ball: Ball, z: Tensor, share: float, noise: Noise) -> Tensor:
        channels, height, width = z.shape[1:]
        side = max(round(math.sqrt(share * height * width)), 3)
        side = min(side + (side % 2 == 0), height, width)
        delta = z - ball.x
        here, there = (self._window(noise, side, height, width) for _ in range(2))
        both = torch.maximum(*(_mask(window, side, height, width) for window in (here, there)))[:, None]
        at = _grid(here, side)
        old = delta[at[0], :, at[1], at[2]].movedim(-1, 1)
        bump = self._bumps(side, noise, z) * noise.signs(channels, 1, 1, dtype=z.dtype) + self._unit(old)
        spent = delta.abs().pow(self.power)
        unspent = (ball.eps.pow(self.power) - spent.flatten(1).sum(1)).clamp(min=0)
        mass = (per(unspent, z) / channels + (spent * both).sum((-2, -1), keepdim=True)).pow(1 / self.power)
        delta = delta * ~_mask(there, side, height, width)[:, None]
        delta[at[0], :, at[1], at[2]] = (self._unit(bump) * mass).movedim(1, -1)
        return self._full(ball, delta)

    def _window(self, noise: Noise, side: int, height: int, width: int) -> tuple[Tensor, Tensor]:
        return noise.below(height - side + 1, 1), noise.below(width - side + 1, 1)

    def _full(self, ball: Ball, delta: Tensor) -> Tensor:
        """All of eps along `delta`, as far as the region lets it be, then into the box."""
        delta = ball.restrict_to_region(ball.x + delta) - ball.x
        return ball.project(ball.x + delta * per(ball.eps / self.norm.size(delta).clamp(min=1e-12), delta))

    def _unit(self, values: Tensor) -> Tensor:
        """Each channel of [b, C, s, s] at size 1, zero stays zero."""
        mass = values.abs().pow(self.power).sum((-2, -1), keepdim=True)
        return values / mass.pow(1 / self.power).clamp(min=1e-12)

    def _bumps(self, side: int, noise: Noise, like: Tensor) -> Tensor:
        """[b, 1, side, side]: a bump above its negative, half of the samples transposed, of size 1."""
        bump = torch.zeros(side, side, dtype=like.dtype, device=like.device)
        bump[: side // 2] = self._rings(side // 2, side, bump)
        bump[side // 2 :] = -self._rings(side - side // 2, side, bump)
        bump = self._unit(bump)
        turned = noise.uniform(1, 1, 1) > 0.5
        return torch.where(turned, bump.T, bump)

    def _rings(self, height: int, width: int, like: Tensor) -> Tensor:
        """[height, width], of size 1: concentric rectangles, each adding 1 / k^fall to all that it holds."""
        values = torch.zeros(height, width, dtype=like.dtype, device=like.device)
        top, left = height // 2, width // 2
        for k in range(max(height // 2 + 1, width // 2 + 1)):
            values[max(top - k, 0) : top + k + 1, max(left - k, 0) : left + k + 1] += 1 / (k + 1) ** self.fall
        return self._unit(values)


SQUARES: dict[Norm, Squares] = {Linf: LinfSquares(), L2: BumpSquares(L2, 2, 2), L1: BumpSquares(L1, 1, 4)}


def search(bout: Bout, z: Tensor, queries: int, first: float, loss: LossFunction, bars: Bars | None = None) -> None:
    """Random search from `z` [b, ...]: a change stays if it raises the loss, by more than rounding.

    Args:
        first: the first squares' share of the image.
        bars: rows that fall short of them leave; only where the loss is the margin, which they are about.
    """
    squares = SQUARES[bout.ball.norm]
    value = loss(bout.logits(z), bout.goal)
    bars = bars if loss is margin and bout.early_exit else None
    hopes = None if bars is None else Prospects.of(bout)
    for k in range(queries - 1):
        poor = None
        if hopes is not None and bars is not None:
            hopes, poor = hopes.after(k, value, bars)
        z, value, hopes = bout.active(z, value, hopes, done=poor)
        if not len(bout):
            break
        new = squares.change(bout.ball, z, area(first, k, queries), bout.noise)
        new_value = loss(bout.logits(new), bout.goal)
        better = rises(new_value, value)
        z, value = torch.where(per(better, z), new, z), torch.where(better, new_value, value)


def _image(z: Tensor) -> Tensor:
    """[b, ...] as [b, C, H, W]."""
    return z if z.dim() == 4 else z.reshape(len(z), *[1] * max(0, 4 - z.dim()), *z.shape[1:]).flatten(1, -3)


def _image_ball(ball: Ball) -> Ball:
    if ball.x.dim() == 4:
        return ball
    free = None if ball.free is None else _image(ball.free)
    return Ball(_image(ball.x), ball.norm, ball.eps, ball.box, ball.levels, free)


def _sides(share: float, height: int, width: int) -> tuple[int, int]:
    """Height and width of a square that covers `share` of the image; a flat image gets a flat rectangle."""
    side = max(round(math.sqrt(share * height * width)), 1)
    tall = min(side, height)
    return tall, min(side if tall == side else max(round(share * height * width / tall), 1), width)


def _within(start: Tensor, length: int, size: int) -> Tensor:
    """bool [b, size]: start <= i < start + length, `start` [b, 1]."""
    i = torch.arange(size, device=start.device)
    return (i >= start) & (i < start + length)


def _mask(window: tuple[Tensor, Tensor], side: int, height: int, width: int) -> Tensor:
    return _within(window[0], side, height)[:, :, None] & _within(window[1], side, width)[:, None, :]


def _grid(window: tuple[Tensor, Tensor], side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Indices [b, side, side] of the rows, lines and columns of each sample's window."""
    i = torch.arange(side, device=window[0].device)
    row = torch.arange(len(window[0]), device=i.device)[:, None, None]
    return row, (window[0] + i)[:, :, None], (window[1] + i)[:, None, :]
