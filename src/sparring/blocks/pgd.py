"""The gradient loop of BIM, PGD and their kin: step along the gradient, project, let the fooled leave."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from sparring.blocks.cycles import back_at, kept_step
from sparring.blocks.directions import Memory, Rule, plain
from sparring.blocks.sources import Ask, Source, here
from sparring.bout import Bout, LossFunction, View


def pgd(
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

    A row that goes round in a circle leaves (`blocks.cycles`): only where nothing is random, steps are all alike, and
    the bout wants the best point, not all steps.

    Args:
        step: the length of a step as a fraction of eps, or a function of the step's number.
        rule: how a gradient becomes a direction, see `blocks.directions`.
        source: where the gradient is taken, see `blocks.sources`.
    """
    memory: Memory = {}
    circles = bout.early_exit and view is None and rule is plain and source is here and not callable(step)
    for k in range(steps):
        if circles and "kept" in memory:
            z, memory = bout.active(z, memory, done=back_at(z, memory["kept"]))
            if not len(bout):
                break
        if circles and kept_step(k):
            memory = {**memory, "kept": z}
        length = step(k) if callable(step) else step
        z, g, memory = source(bout, z, memory, Ask(loss, view, length))
        if not len(bout):
            break
        g, memory = rule(g, memory)
        z = bout.ball.project(bout.ball.step(z, g, length * bout.eps))
    return z
