"""Sources: where the gradient of a step comes from. `pgd` asks one, then a rule makes a direction of its answer.

A source is called as `z, gradient, memory = source(bout, z, memory, ask)`; it lets the rows that are over leave. The
memory is the one of the rules (`blocks.directions`). A rule changes a gradient; a source decides where it is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from sparring.blocks.directions import Memory
from sparring.bout import Bout, LossFunction, View


class Ask(NamedTuple):
    """What is asked at each step: the gradient of which loss, through which view, for a step of which share of eps."""

    loss: LossFunction
    view: View | None
    step: float


Source = Callable[[Bout, Tensor, Memory, Ask], tuple[Tensor, Tensor, Memory]]


def here(bout: Bout, z: Tensor, memory: Memory, ask: Ask) -> tuple[Tensor, Tensor, Memory]:
    """At the point itself."""
    z, g, memory = bout.active(z, bout.grad(z, ask.loss, ask.view), memory)
    return z, g, memory


def ahead(decay: float) -> Source:
    """Where the momentum would carry the point: z + decay * step * eps * m (Lin et al. 2020, arXiv:1908.06281).

    The point is not clipped, as in the authors' code. m has a mean magnitude of about 1, like a step of signs; under
    other norms it is cut down like a step that moves all pixels alike.
    """

    def source(bout: Bout, z: Tensor, memory: Memory, ask: Ask) -> tuple[Tensor, Tensor, Memory]:
        point = z
        if decay and "momentum" in memory:
            point = z + _evenly(bout, decay * ask.step) * memory["momentum"]
        z, g, memory = bout.active(z, bout.grad(point, ask.loss, ask.view), memory)
        return z, g, memory

    return source


def tuned(source: Source, neighbours: int, spread: float) -> Source:
    """Variance tuning: g + v, v = how the last step's gradient differs from the mean around it.

    Wang & He 2021, arXiv:2103.15571. The neighbours are uniform within `spread` * eps of the last point, and are
    asked about only once it is known who goes on: the last step needs none.
    """
    if not neighbours or not spread:
        return source

    def tune(bout: Bout, z: Tensor, memory: Memory, ask: Ask) -> tuple[Tensor, Tensor, Memory]:
        z, g, memory = source(bout, z, memory, ask)
        memory, last = {**memory, "left": z, "slope": g}, memory
        if len(bout) and "slope" in last:
            g = g + (_around(bout, last["left"], neighbours, spread, ask) - last["slope"])
        return z, g, memory

    return tune


def _around(bout: Bout, z: Tensor, count: int, spread: float, ask: Ask) -> Tensor:
    """The mean gradient of `count` random points around `z`."""
    width, mean = _evenly(bout, spread), torch.zeros_like(z)
    for k in range(count):
        shift = 2 * bout.noise.uniform(*z.shape[1:], dtype=z.dtype) - 1
        mean = mean.lerp(bout.grad(z + width * shift, ask.loss, ask.view), 1 / (k + 1))
    return mean


def _evenly(bout: Bout, share: float) -> Tensor:
    """How far each pixel goes when all go alike and together `share` * eps: [b, 1, ...]."""
    ball = bout.ball
    return ball.column(share * bout.eps / ball.norm.size(torch.ones_like(ball.x)))
