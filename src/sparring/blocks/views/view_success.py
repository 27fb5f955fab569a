"""How often a picture fools when it is looked at afresh: the measure for EOT, RP2 and all that is meant to be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sparring.blocks.views.chain import Show
from sparring.blocks.views.transforms import transform as named
from sparring.bout import in_box
from sparring.class_numbers import integers
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.rng import Noise
from sparring.threat import Goal, Untargeted


def view_success(
    model: Model | Callable[..., Any],
    x_adv: Tensor,
    y_or_goal: Tensor | Goal,
    transform: Show | str,
    draws: int = 100,
    seed: int = 0,
) -> Tensor:
    """The share of random views of each picture that fool: [N], from 0 to 1.

    The views are fresh: no attack has searched through them. All pictures are seen in the same `draws` ways, so
    clean and adversarial ones can be compared. What is shown is clipped to the model's box, as a camera would do. The
    baseline: for clean pictures and their labels, 1 minus this is the clean accuracy under the same views.

    Args:
        y_or_goal: [N] true classes, or a goal.
        transform: what a view is, or its name ("2d", "rotation:22.5+brightness").

    >>> even = lambda x: torch.stack([x.flatten(1).sum(1), 1 - x.flatten(1).sum(1)], 1)
    >>> view_success(even, torch.tensor([[0.9], [0.4]]), torch.tensor([0, 0]), "identity", draws=3)
    tensor([0., 1.])
    """
    if draws < 1:
        raise InputError(f"draws is {draws}; at least 1 view is needed")
    model = wrap(model)
    with model.guard(), torch.no_grad():
        x = model.accept(x_adv)
        goal = y_or_goal if isinstance(y_or_goal, Goal) else Untargeted(integers(y_or_goal))
        goal = goal.map(lambda classes: classes.to(x.device).long().expand(len(x)))
        fooled = x.new_zeros(len(x))
        for seen in fresh_views(x, transform, draws, model.box, seed):
            labels = model.labels(seen)
            fooled += goal.hit(labels) & (labels >= 0)
    return (fooled / draws).cpu()


def fresh_views(
    x: Tensor, transform: Show | str, draws: int, box: tuple[float, float] = (0.0, 1.0), seed: int = 0
) -> Iterator[Tensor]:
    """`draws` views [N, ...] of pictures, all seen from the same places, clipped to the box: what is counted above."""
    show = in_box(named(transform) if isinstance(transform, str) else transform, box)
    noise = Noise(Noise.of(x.new_zeros(1, 1), seed).keys.expand(len(x)))
    for _ in range(draws):
        yield show(x, noise).clamp(*box)
