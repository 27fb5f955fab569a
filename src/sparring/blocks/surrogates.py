"""Surrogates: nets that stand in for a model whose gradients cannot be seen, several of them as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Annotated, Any

import torch
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema
from torch import Tensor, nn

from sparring.attack import Attack
from sparring.ball import Ball
from sparring.bout import Bout, LossFunction
from sparring.errors import InputError
from sparring.kernels import nonzero
from sparring.model import Model, wrap
from sparring.threat import Threat
from sparring.zoo.loaders import load_model

Surrogates = Annotated[
    tuple[Any, ...],
    BeforeValidator(lambda value: tuple(map(load_model, value.split("+"))) if isinstance(value, str) else tuple(value)),
    PlainSerializer(lambda models: "+".join(str(getattr(each, "name", each)) for each in models), return_type=str),
    WithJsonSchema({"type": "string", "examples": ["mnist-cnn-pgd"]}),
]
"""Models, or their specs joined by "+"; each needs the classes of the model under attack, numbered alike."""


class Ensemble(nn.Module):
    """The mean of the logits of several models (Dong et al. 2018, arXiv:1710.06081), each with its own scaling."""

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        self.models = models
        self.nets = nn.ModuleList(model.net for model in models if isinstance(model.net, nn.Module))

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([answer(model, x) for model in self.models]).mean(0)


def answer(model: Model, x: Tensor) -> Tensor:
    """The logits of a surrogate, which may be on another device than the points."""
    return model.logits(x.to(model.device or x.device)).to(x.device)


def checked(surrogates: Sequence[Model | Callable[..., Any]], bout: Bout) -> list[Model]:
    """The surrogates as models that grant gradients, and know pixels and classes of the model under attack.

    Raises:
        InputError: none, one without gradients, with pixels in another box, or with another number of classes.
    """
    models = [wrap(surrogate) for surrogate in surrogates]
    if not models:
        raise InputError("a transfer attack needs surrogates: sp.attack('sia', surrogates=[net]), or --surrogate SPEC")
    for model in models:
        if model.access != "gradient":
            raise InputError(f"the surrogate {model.name} grants {model.access} access; it must grant gradients")
        if model.box != bout.box:
            raise InputError(
                f"the surrogate {model.name} has pixels in {model.box} and the model in {bout.box}; give both "
                "the same, with wrap(net, box=...)"
            )
    counts = [_classes(model, bout.x[:1]) for model in models]
    known = bout.classes or counts[0]
    for model, count in zip(models, counts, strict=True):
        if count != known:
            other = "the model" if bout.classes else models[0].name
            raise InputError(
                f"the surrogate {model.name} and {other} know different classes ({count} and {known}); they must "
                "number the same ones alike"
            )
    return models


def _classes(model: Model, x: Tensor) -> int:
    """How many classes a surrogate tells apart."""
    with model.guard(), torch.no_grad():
        return model.logits(model.accept(x)).shape[1]


def as_one(surrogates: Sequence[Model | Callable[..., Any]], bout: Bout) -> Model:
    """One model that grants gradients: the surrogate itself, or the mean of the logits of several.

    Raises:
        InputError: as for `checked`.
    """
    models = checked(surrogates, bout)
    if len(models) == 1:
        return models[0]
    return wrap(Ensemble(models), box=models[0].box, name=" + ".join(model.name for model in models))


def made_on(surrogate: Model, attack: Attack, bout: Bout) -> Tensor:
    """The points [b, ...] that the attack ends with on the surrogate, for the goal and inside the ball of the bout.

    The numbers of its noise are those of the bout. What it asks of the surrogate costs nothing.
    """
    noise = bout.noise.fold(0)
    noise = type(noise)(noise.keys.to(surrogate.device or bout.x.device))
    return attack.craft(surrogate, bout.x, bout.goal, _threat(bout.ball), noise=noise).to(bout.x.device)


def climb(
    models: Sequence[Model], weights: Tensor, bout: Bout, z: Tensor, loss: LossFunction, steps: int, step: float
) -> Tensor:
    """PGD from `z` [b, ...] on the surrogates alone, in the ball of the bout; the model is asked nothing.

    Args:
        weights: [b, N] of the losses of the N surrogates, for each row. step: the length of a step, as a share of eps.
    """
    with ExitStack() as guards:
        for model in models:
            guards.enter_context(model.guard())
        for _ in range(steps):
            point = z.detach().requires_grad_()
            losses = torch.stack([loss(bout.goal.read(answer(model, point)), bout.goal) for model in models], 1)
            (slope,) = torch.autograd.grad((weights * losses).sum(), point)
            z = bout.ball.project(bout.ball.step(z, slope.nan_to_num(0.0, 0.0, 0.0), step * bout.eps))
    return z


def shifted(weights: Tensor, which: int, amount: float) -> Tensor:
    """Weights [b, N] with `amount` more for one of them, none below 0, brought back to the sum 1.

    >>> shifted(torch.tensor([[0.5, 0.5]]), 0, 0.25)
    tensor([[0.6000, 0.4000]])
    """
    moved = weights.clone()
    moved[:, which] = (moved[:, which] + amount).clamp(min=0)
    return moved / nonzero(moved.sum(1, keepdim=True))


def _threat(ball: Ball) -> Threat:
    radius = float(ball.eps[0])
    return Threat(ball.norm, None if radius == float("inf") else radius, ball.box, ball.levels, ball.free)
