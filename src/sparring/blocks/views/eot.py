"""Expectation over transformation (EOT): the view, the gradient of a mean of probabilities, the paper's LAB penalty."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor

from sparring.blocks.directions import Memory
from sparring.blocks.sources import Ask, Source
from sparring.blocks.views.augment import Joinable
from sparring.blocks.views.chain import Show, spelled
from sparring.blocks.views.lab import lab
from sparring.bout import Bout, in_box
from sparring.losses import cross_entropy
from sparring.norms import per
from sparring.rng import Noise


@dataclass(frozen=True)
class EOT(Joinable):
    """Expectation over transformation (Athalye et al. 2018, arXiv:1707.07397): gradients averaged over random copies.

    Args:
        copies: passes for each gradient.
        transform: (points [b, ...], their noise) -> what to show, differentiable and drawn afresh each time; None =
            the point itself, for models that are random themselves.
    """

    copies: int = 20
    transform: Callable[[Tensor, Noise], Tensor] | None = None

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        return z if self.transform is None else self.transform(z, noise)

    def in_box(self, box: tuple[float, float]) -> EOT:
        return replace(self, transform=in_box(self.transform, box))

    def __str__(self) -> str:
        return f"eot{self.copies}" + ("" if self.transform is None else f"({spelled(self.transform)})")


def of_probabilities(bout: Bout, z: Tensor, memory: Memory, ask: Ask) -> tuple[Tensor, Tensor, Memory]:
    """The gradient of log E[p] over the copies of an EOT view, p of the class in question, instead of E[log p].

    That is the mean of the gradients of log p, each weighted by its p: what counts for a model that averages its own
    answers. The loss asked for is not used.
    """
    view = cast(EOT, ask.view)
    single, total, slope = replace(view, copies=1), z.new_full((len(z),), -torch.inf), torch.zeros_like(z)
    for _ in range(view.copies):
        loss, more = bout.value_and_grad(z, cross_entropy, single)
        log_p = -loss.abs()  # the loss is log p or -log p, as the goal has it
        total = torch.logaddexp(total, log_p)
        slope = slope.lerp(more, per((log_p - total).exp(), z))
    z, slope, memory = bout.active(z, slope, memory)
    return z, slope, memory


def faithful(source: Source, show: Show, weight: float) -> Source:
    """The gradient of the loss minus `weight` * E[|LAB(t(z)) - LAB(t(x))|_2], one view t of both a step.

    No model is asked for it. Athalye et al. 2018, arXiv:1707.07397, eq. 1.
    """
    if not weight:
        return source

    def penalised(bout: Bout, z: Tensor, memory: Memory, ask: Ask) -> tuple[Tensor, Tensor, Memory]:
        z, g, memory = source(bout, z, memory, ask)
        if not len(bout):
            return z, g, memory
        tag = bout.noise.drawn
        point = z.detach().requires_grad_()
        shown = in_box(show, bout.ball.box)
        seen, clean = (shown(picture, bout.noise.fold(tag)) for picture in (point, bout.x))
        difference = lab(seen, bout.ball.box) - lab(clean, bout.ball.box)
        (away,) = torch.autograd.grad(torch.linalg.vector_norm(difference.flatten(1), dim=1).sum(), point)
        return z, g - weight * away, memory

    return penalised
