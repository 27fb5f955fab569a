"""What an audit of a model too expensive for searches will cost: its own answers, and the surrogate's passes.

How many of each an image takes was measured once (docs/defense_gan.md: Defense-GAN as in the paper and DiffPure, the
suite `quick`); what each costs is measured here, on a few of the images. Images that stand at the end may take a last
climb on the model itself.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.audit.cascade.adaptive import last_climb, steps_of
from sparring.audit.cascade.wrappers import surrogate_of
from sparring.audit.run.plan import Plan
from sparring.durations import duration
from sparring.model import Model

ANSWERS, PASSES = 150, 1500
"an image: answers of the model itself, most of them by juries, and forward plus backward passes of the surrogate"
FEW, FEWER = 16, 4
"images that the cost is measured on; for gradients of the model itself"


@dataclass(frozen=True)
class Costs:
    """Seconds of one answer of the model, of one pass of its surrogate, and of the last climb on the model itself for
    an image that stands; 0 = there is no such climb."""

    answer: float
    step: float
    last: float = 0.0

    @property
    def image(self) -> float:
        """What an image takes before the last climb."""
        return ANSWERS * self.answer + PASSES * self.step


def costs(plan: Plan) -> Costs:
    """Measured on a few of the images."""
    model, cheaper = plan.model, surrogate_of(plan.model)
    assert cheaper is not None
    last, x = last_climb(model, steps_of(plan.stages)), _images(plan, model)
    answer, way = _answer(model, x), cheaper.exposed()
    climb = 0.0 if last is None else last.most_passes(2) * _step(model.exposed(), x[:FEWER])
    return Costs(answer, max(_answer(way, x), _step(way, x)), climb)


def seconds_an_image(plan: Plan, standing: float = 0.5) -> float:
    """What an image takes, all in all; `standing`: a guess at the share that the last climb is for."""
    found = costs(plan)
    return found.image + standing * found.last


def said(plan: Plan) -> str:
    """One line to print before the start."""
    found, n = costs(plan), len(plan.source)
    last = f", and {duration(found.last)} for each that is left to a climb on the model itself" if found.last else ""
    return (
        f"an answer takes {found.answer * 1e3:.2g} ms, so attacks search on a surrogate, {plan.surrogate} "
        f"({found.step * 1e3:.2g} ms), and the model itself decides; {n:,} images: about {duration(n * found.image)}"
        f"{last}"
    )


def _answer(model: Model, x: Tensor) -> float:
    """Seconds of a forward pass of one image."""
    with model.guard(), torch.no_grad():
        model.logits(x[:1])  # the first call of all is slower
        began = time.perf_counter()
        model.logits(x)
        return (time.perf_counter() - began) / len(x)


def _step(model: Model, x: Tensor) -> float:
    """Seconds of a pass of one image in a climb: half of forwards and back."""
    if model.access != "gradient":
        return 0.0
    with model.guard():
        for point in (x[:1].detach().clone(), x.detach().clone()):
            began, value = time.perf_counter(), model.logits(point.requires_grad_()).sum()
            if value.requires_grad:
                torch.autograd.grad(value, point, allow_unused=True)
        return (time.perf_counter() - began) / len(x) / 2


def _images(plan: Plan, model: Model) -> Tensor:
    """A few, as the model takes them."""
    return model.accept(plan.source.part(0, min(FEW, len(plan.source)))[0])
