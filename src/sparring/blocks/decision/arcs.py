"""Paths in the plane of the clean image, the boundary point and a direction: lines, arcs and tangents."""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.ball import Ball
from sparring.blocks.decision.bisect import Path
from sparring.blocks.decision.normals import dot, unit
from sparring.kernels import nonzero
from sparring.norms import L2


def line(ball: Ball, z: Tensor, direction: Tensor) -> Path:
    """From `z` along a direction [b, ...], kept in the box."""
    return lambda radius: ball.clip(z + ball.column(radius) * direction)


def outward(ball: Ball, v: Tensor) -> Path:
    """From the clean image along `v` [b, ...], kept in the box: the radius is the L2 distance before that."""
    size = nonzero(L2.size(v))
    return lambda radius: ball.clip(torch.addcmul(ball.x, ball.column(radius / size), v))


def along_normal(ball: Ball, g: Tensor) -> Path:
    """The points of each size that gain most along `g` [b, ...]: nearest to a flat boundary, under any norm."""
    return lambda radius: ball.with_eps(radius).linear_maximizer(g)


def swing(ball: Ball, z: Tensor, v: Tensor) -> Path:
    """Along half circles over the line from x to `z`, by angles [b]: bent towards `v` [b, ...], away from it below 0.

    x + |z - x| cos a (cos a u + sin a w), u towards z, w the part of v across u: nearer than z everywhere but at 0.
    Maho et al. 2021, arXiv:2011.12807.
    """
    span, u = L2.size(z - ball.x), unit(z - ball.x)
    w = unit(v - ball.column(dot(v, u)) * u)

    def point(angle: Tensor) -> Tensor:
        radius = span * angle.cos()
        return ball.clip(ball.x + ball.column(radius * angle.cos()) * u + ball.column(radius * angle.sin()) * w)

    return point


def arc(ball: Ball, z: Tensor, v: Tensor) -> Path:
    """The same on one side, by the distance from x. It meets a flat boundary with normal v where that is nearest."""
    bend, span = swing(ball, z, v), nonzero(L2.size(z - ball.x))
    return lambda radius: bend((radius / span).clamp(max=1).acos())


def tangent(ball: Ball, z: Tensor, g: Tensor) -> Path:
    """Where a line from x touches the half ball of radius R round `z`, on the side that `g` [b, ...] points to.

    With o = z, s = x - o, sin a = -<s, g> / |s|, cos b = R / |s|: o + R (cos(b - a) w + sin(b - a) g), w the part of s
    across g. Ma et al. 2021, arXiv:2111.07492.
    """
    g, s = unit(g), ball.x - z
    size = nonzero(L2.size(s))
    g = g * ball.column((dot(s, g) <= 0).to(g.dtype) * 2 - 1)  # away from x
    slope = (-dot(s, g) / size).clamp(-1, 1).asin()
    w = unit(s - ball.column(dot(s, g)) * g)

    def point(radius: Tensor) -> Tensor:
        radius = radius.minimum(0.999 * size)
        turn = (radius / size).clamp(max=1).acos() - slope
        return ball.clip(z + ball.column(radius * turn.cos()) * w + ball.column(radius * turn.sin()) * g)

    return point
