"""Surrogates: nets that stand in for a model whose gradients cannot be seen, several of them as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attack import Attack
from sparring.ball import Ball
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.threat import Threat


class Ensemble(nn.Module):
    """The mean of the logits of several models (Dong et al. 2018, arXiv:1710.06081), each with its own scaling."""

    def __init__(self, models: Sequence[Model]) -> None:
        super().__init__()
        self.models = models
        self.nets = nn.ModuleList(model.net for model in models if isinstance(model.net, nn.Module))

    def forward(self, x: Tensor) -> Tensor:
        answers = [model.logits(x) for model in self.models]
        if len({answer.shape[1] for answer in answers}) > 1:
            counts = ", ".join(f"{m.name}: {a.shape[1]}" for m, a in zip(self.models, answers, strict=True))
            raise InputError(f"the surrogates know different classes ({counts}); they must number the same ones alike")
        return torch.stack(answers).mean(0)


def as_one(surrogates: Sequence[Model | Callable[..., Any]]) -> Model:
    """One model that grants gradients: the surrogate itself, or the mean of the logits of several.

    Raises:
        InputError: none, one without gradients, or their boxes differ.
    """
    models = [wrap(surrogate) for surrogate in surrogates]
    if not models:
        raise InputError("a transfer attack needs surrogates: sp.attack('sia', surrogates=[net]), or --surrogate SPEC")
    for model in models:
        if model.access != "gradient":
            raise InputError(f"the surrogate {model.name} grants {model.access} access; it must grant gradients")
        if model.box != models[0].box:
            raise InputError(f"the surrogates have pixels in {models[0].box} and in {model.box}; they must agree")
    if len(models) == 1:
        return models[0]
    return wrap(Ensemble(models), box=models[0].box, name=" + ".join(model.name for model in models))


def made_on(surrogate: Model, attack: Attack, bout: Bout) -> Tensor:
    """The points [b, ...] that the attack ends with on the surrogate, for the goal and inside the ball of the bout.

    The numbers of its noise are those of the bout. What it asks of the surrogate costs nothing.
    """
    return attack.craft(surrogate, bout.x, bout.goal, _threat(bout.ball), noise=bout.noise.fold(0))


def _threat(ball: Ball) -> Threat:
    radius = float(ball.eps[0])
    return Threat(ball.norm, None if radius == float("inf") else radius, ball.box, ball.levels, ball.free)
