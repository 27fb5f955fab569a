"""What the three clean-label attacks share: the target, the base samples, and one descent inside a Linf ball.

The samples keep their labels, and no pixel moves further than eps; only what is minimised differs.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from sparring.defenses.training.learners import NetLearner
from sparring.errors import InputError
from sparring.poisoning.base import Target, View
from sparring.poisoning.triggers import eight_bits
from sparring.seeds import derived_seed


def find_target(view: View, number: int, label: int) -> Target:
    """The image of the held-out data with this number, and the class that it shall get (-1 = the one after its own).

    Raises:
        InputError: no held-out data, no such image, or its own class.
    """
    if view.held_out is None:
        raise InputError("an attack on one image needs held_out=, the data that the image is taken from")
    if not 0 <= number < len(view.held_out):
        raise InputError(f"target={number}; the held-out data has images 0 to {len(view.held_out) - 1}")
    x, true = view.held_out[number]
    classes = len(view.data.classes)
    wanted = (true + 1) % classes if label < 0 else label
    if wanted == true or wanted >= classes:
        raise InputError(f"label={wanted}; it must be a class from 0 to {classes - 1}, and not {true}, the image's own")
    return Target(number, x, true, wanted)


def base_samples(view: View, label: int) -> Tensor:
    """The samples to change, at random among those with this label.

    Raises:
        InputError: there are too few.
    """
    rows: Tensor = (view.data.labels == label).nonzero().flatten()
    if not 0 < view.budget <= len(rows):
        raise InputError(
            f"the budget is {view.budget} samples with label {label}, and the adversary sees {len(rows)}; change share="
        )
    return view.draw(view.budget, rows)


def extractor(view: View) -> nn.Module:
    """The features that the adversary works on: the victim's where it knows them, else those of its own net.

    Pixels [B, C, H, W] -> [B, d], everything before the last layer, frozen and in eval mode.
    """
    if view.features is not None and view.knows.features:
        net: nn.Module = deepcopy(view.features)
    else:
        net = surrogate(view)
    if not isinstance(net, nn.Sequential):
        raise InputError("the features of this net cannot be cut off; feature attacks need an nn.Sequential")
    return net[:-1].requires_grad_(False).eval()


def surrogate(view: View, number: int = 0) -> nn.Module:
    """A net that the adversary has trained on what it sees, in the victim's place."""
    learner = view.surrogate()
    if not isinstance(learner, NetLearner):
        raise InputError(f"clean-label attacks need a net as the victim; got {learner.spec}")
    return learner.learn(view.data, derived_seed(view.seed, "surrogate", number)).requires_grad_(False)


def descend(
    objective: Callable[[Tensor], Tensor], base: Tensor, eps: float, steps: int, step: float, seed: int = 0
) -> tuple[Tensor, float]:
    """Minimise an objective of images [M, C, H, W] in the Linf ball around `base` and in [0, 1], by signed Adam.

    The step falls to a tenth after 3/8, 5/8 and 7/8 of the steps (Geiping et al. 2021).

    Args:
        eps: radius. steps: gradient steps. step: the first step's length, in parts of eps. seed: of the random start.

    Returns:
        The images in 8 bits and the last value of the objective. Rounding never leaves the ball: it goes inwards.
    """
    generator = torch.Generator().manual_seed(derived_seed(seed, "start"))
    delta = (torch.rand(base.shape, generator=generator) * 2 - 1).to(base) * eps
    first, second = torch.zeros_like(base), torch.zeros_like(base)
    value = float("nan")
    for k in range(steps + 1):
        z = (base + delta).clamp(0, 1).requires_grad_()
        goal = objective(z)
        value = float(goal.detach())
        if k == steps:
            break
        (slope,) = torch.autograd.grad(goal, z)
        first = 0.9 * first + 0.1 * slope
        second = 0.999 * second + 0.001 * slope.square()
        rate = step * eps * 0.1 ** sum(k >= steps * part / 8 for part in (3, 5, 7))
        delta = (z.detach() - base - rate * (first / (second.sqrt() + 1e-12)).sign()).clamp(-eps, eps)
    moved = (base + delta).clamp(0, 1)
    low, high = (base - eps).mul(255 - 1e-4).ceil(), (base + eps).mul(255 + 1e-4).floor()
    return eight_bits(torch.minimum(torch.maximum(moved.mul(255).round(), low), high) / 255), value
