"""The ball: the allowed points around each image, norm and box and grid together. Made by the bout, used by attacks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from sparring.norms import Linf, Norm, per
from sparring.rng import Noise


@dataclass(frozen=True)
class Ball:
    """The allowed points around each image: ||z - x|| <= eps, inside the box. Made by the bout, used by attacks.

    Args:
        x: [B, ...] clean images. norm: the norm. eps: [B], infinite where only the box counts. box: (low, high).
        levels: the grid of the threat, None = any value.
        free: bool [B, ...], the pixels that may change; None = all.
    """

    x: Tensor
    norm: Norm
    eps: Tensor
    box: tuple[float, float]
    levels: int | None = None
    free: Tensor | None = None

    def __getitem__(self, rows: Tensor) -> Ball:
        free = None if self.free is None else self.free[rows]
        ball = Ball(self.x[rows], self.norm, self.eps[rows], self.box, self.levels, free)
        if "span" in self.__dict__:
            ball.__dict__["span"] = tuple(bound[rows] for bound in self.span)
        ball.__dict__.update({name: self.__dict__[name][rows] for name in ("low", "high") if name in self.__dict__})
        return ball

    def with_eps(self, eps: Tensor) -> Ball:
        """The ball of another radius [B] around the same images."""
        ball = Ball(self.x, self.norm, eps, self.box, self.levels, self.free)
        ball.__dict__.update({name: self.__dict__[name] for name in ("low", "high") if name in self.__dict__})
        ball.__dict__["_around"] = self.__dict__.get("_around") or (self if self.unbounded else None)
        return ball

    @cached_property
    def unbounded(self) -> bool:
        """Only box and region count: what any ball around the same images allows is allowed here."""
        return bool(self.eps.isinf().all())

    @property
    def width(self) -> float:
        """How far the lowest and the highest value of a pixel are apart."""
        return self.box[1] - self.box[0]

    def column(self, values: Tensor) -> Tensor:
        """[b] values shaped to multiply images."""
        return per(values, self.x)

    @cached_property
    def low(self) -> Tensor:
        """How far down each pixel may go, <= 0: the box, and the region."""
        return self._freely(self.box[0] - self.x)

    @cached_property
    def high(self) -> Tensor:
        """How far up each pixel may go, >= 0."""
        return self._freely(self.box[1] - self.x)

    @cached_property
    def span(self) -> tuple[Tensor, ...]:
        """Lowest and highest value of each pixel in a Linf ball: with these one clamp is the whole projection."""
        e = self._freely(per(self.eps, self.x).expand_as(self.x))
        return (self.x - e).clamp(min=self.box[0]), (self.x + e).clamp(max=self.box[1])

    def project(self, z: Tensor) -> Tensor:
        """The nearest allowed points to `z` [B, ...]: exact, box and ball together."""
        if self.norm is Linf:
            inside = z.clamp(*self.span)
        else:
            inside = self._at(self.norm.project(z - self.x, self.eps, self.low, self.high))
        return self._note(inside)

    def project_many(self, z: Tensor) -> Tensor:
        """As `project`, for many points of each image: [B, m, ...]."""
        if self.norm is Linf:
            low, high = self.span
            return z.clamp(low[:, None], high[:, None])
        rows = torch.arange(len(z), device=z.device).repeat_interleave(z.shape[1])
        return self[rows].project(z.flatten(0, 1)).reshape(z.shape)

    def clip(self, z: Tensor) -> Tensor:
        """`z` with every pixel back in the box, and those outside the region as they were; the radius is left alone."""
        clipped = self.restrict_to_region(z).clamp(*self.box)
        return self._note(clipped) if self.unbounded else clipped

    def restrict_to_region(self, z: Tensor) -> Tensor:
        """`z` inside the region, the clean image elsewhere. Differentiable."""
        return z if self.free is None else torch.where(self.free, z, self.x)

    def to_hyperplane(self, g: Tensor, gap: Tensor) -> Tensor:
        """The nearest points u with <g, u - x> = gap [B], the box made use of; the best corner where there is none."""
        return self._at(self.norm.to_hyperplane(g, gap, self.low, self.high))

    def steepest(self, g: Tensor) -> Tensor:
        """The direction of size 1 that gains most along `g`."""
        return self.norm.steepest(g)

    def step(self, z: Tensor, g: Tensor, length: Tensor) -> Tensor:
        """`z` moved by `length` [B] along its steepest direction for the gradient `g`; still to be projected.

        A sparse step spends on no pixel more than its share, nor more than the box has room for: what one cannot
        take goes to the next best. Otherwise pixels at their bound would be chosen again and again.
        """
        if not self.norm.sparse:
            return self.norm.steepest(g).mul_(per(length, z)).add_(z)
        share = per(length / self.norm.moved(z[0].numel()), z) if len(z) else z
        low, high = torch.maximum(self.box[0] - z, -share), torch.minimum(self.box[1] - z, share)
        return z + self.norm.linear_maximizer(g, length, low, high)

    def linear_maximizer(self, g: Tensor) -> Tensor:
        """The allowed points that gain most along `g`: one step under a linear model, the box made use of."""
        return self._at(self.norm.linear_maximizer(g, self.eps, self.low, self.high))

    def sample(self, noise: Noise) -> Tensor:
        """Random allowed points."""
        return self._at(self.norm.sample(noise, self.eps, self.low, self.high))

    def surface(self, noise: Noise) -> Tensor:
        """Random points at distance eps, as far as the box lets them: where APGD starts."""
        if self.norm is Linf:
            d = noise.uniform(*self.x.shape[1:], dtype=self.x.dtype) * 2 - 1
        else:
            d = noise.normal(*self.x.shape[1:], dtype=self.x.dtype)
        d = self._freely(d)
        return self.project(self.x + per(self.eps / self.norm.size(d).clamp(min=1e-12), d) * d)

    def distance(self, z: Tensor) -> Tensor:
        """Distances of `z` from the clean images: [B]."""
        return self.norm.size(z - self.x)

    def made(self, z: Tensor) -> bool:
        """`z` is the last thing that `project` gave, here or in a smaller ball, and nobody wrote to it since.

        Then there is no need to ask `contains`.
        """
        known, version = self.__dict__.get("_known", (None, 0))
        return known is not None and _same(z, known) and z._version == version

    def _note(self, z: Tensor) -> Tensor:
        """Remember that these points are allowed, here and in the ball around this one."""
        for ball in (self, self.__dict__.get("_around")):
            if ball is not None:
                ball.__dict__["_known"] = (z, z._version)
        return z

    def contains(self, z: Tensor) -> Tensor:
        """bool [B]: the point is allowed. Float rounding is forgiven, nothing else."""
        slack = 1e-6 * self.width
        flat = z.flatten(1)
        inside = (flat.amin(1) >= self.box[0] - slack) & (flat.amax(1) <= self.box[1] + slack)
        if self.free is not None:
            inside &= ((z - self.x).abs() <= slack).logical_or_(self.free).flatten(1).all(1)
        return inside & (self.distance(z) <= self.eps * (1 + 1e-5) + 0.1 * slack)

    def snap(self, z: Tensor) -> Tensor:
        """Points of the grid (`levels`) near `z`, rounded towards x where rounding away would leave the ball."""
        if self.levels is None:
            return z
        step = self._step(z)
        inward = torch.where(z > self.x, (step + 1e-4).floor(), (step - 1e-4).ceil())
        near = self._value(step.round())
        fits = self.contains(near)
        return torch.where(per(fits, z), near, self._value(inward))

    def on_grid(self) -> bool:
        """Do the clean images lie on the grid, where there is one?"""
        if self.levels is None:
            return True
        step = self._step(self.x)
        return bool(((step - step.round()).abs() < 1e-5 * self.levels).all())

    def _step(self, z: Tensor) -> Tensor:
        """Which step of the grid each pixel is on, 0 to levels - 1, in fractions."""
        low, high = self.box
        return (z - low) / (high - low) * ((self.levels or 2) - 1)

    def _value(self, step: Tensor) -> Tensor:
        """The pixels at whole steps of the grid; those of the clean image to the bit, or L0 would count them."""
        low, high = self.box
        value = step / ((self.levels or 2) - 1) * (high - low) + low
        return torch.where(step == self._step(self.x).round(), self.x, value)

    def _freely(self, values: Tensor) -> Tensor:
        """Zero outside the region."""
        return values if self.free is None else torch.where(self.free, values, 0)

    def _at(self, d: Tensor) -> Tensor:
        """x + d, kept in the box against the last bit of rounding. The norms have made `d`, nobody else holds it."""
        return d.add_(self.x).clamp_(*self.box)


def _same(a: Tensor, b: Tensor) -> bool:
    """Two views of the same numbers in the same order."""
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride()
