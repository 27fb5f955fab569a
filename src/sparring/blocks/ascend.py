"""The gradient loop of BIM, PGD and their kin: step along the gradient, project, let the fooled leave."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sparring.blocks.rules import Memory, Rule, plain
from sparring.blocks.sources import Ask, Source, here
from sparring.bout import Bout, LossFunction, View


def ascend(
    bout: Bout,
    z: Tensor,
    steps: int,
    step: float | Callable[[int], float],
    loss: LossFunction,
    view: View | None = None,
    rule: Rule = plain,
    source: Source = here,
) -> Tensor:
    """Climb the loss from `z` [b, ...] inside the ball; returns the last points, of the rows that still stand.

    Args:
        step: the length of a step as a fraction of eps, or a function of the step's number.
        rule: how a gradient becomes a direction, see `blocks.rules`.
        source: where the gradient is taken, see `blocks.sources`.
    """
    memory: Memory = {}
    for k in range(steps):
        length = step(k) if callable(step) else step
        z, g, memory = source(bout, z, memory, Ask(loss, view, length))
        if not len(bout):
            break
        g, memory = rule(g, memory)
        z = bout.ball.project(bout.ball.step(z, g, length * bout.eps))
    return z
