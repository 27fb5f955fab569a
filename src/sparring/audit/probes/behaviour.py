"""Probes of conduct: does the model answer each image alone, the same twice, without gradients of its own?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.inputs.clean import other_scales
from sparring.errors import SparringError
from sparring.model import Model
from sparring.outputs import unpack

ALONE = 16
"images shown one at a time"
STEADY = 4
"passes of an image alone that must agree, before a model is taken to draw at random for the company"
FAR, FAR_IN_LOW_PRECISION = 1e-4, 5e-2
"in logits, relative to the largest: more than rounding explains"


@dataclass(frozen=True)
class Conduct:
    """What was seen.

    Attributes:
        seedable: the answers are random, but the same again from the same state of torch's generator.
        crowded: share of up to 16 images, or of as many points near them, that are answered otherwise, or not at
            all, when shown alone. Of a model that answers at random: share of those whose answers change in company
            that get the same answer `STEADY` times alone; None if that is less than half.
        dynamic: the model asks for gradients while it answers: it optimises something for each image.
        scale: another range of pixels on which the model is right more often, by 10 points, in words; None = none.
        twice: share right in each of two passes over up to 250 images.
        passes: forward passes spent.
    """

    seedable: bool
    crowded: float | None
    dynamic: bool
    scale: str | None
    twice: tuple[float, float]
    passes: int


def observe(
    model: Model,
    x: Tensor,
    y: Tensor,
    random: bool,
    twice: tuple[float, float],
    sample: tuple[Tensor, Tensor] | None = None,
    near: tuple[Tensor, ...] | None = None,
) -> Conduct:
    """Show images x [n, ...] in several ways.

    Args:
        random: two passes are known to differ. twice: shares right in each of two passes.
        sample: the images that are shown alone, with the logits that they got among all others; None = the first.
        near: points near images, which are shown alone too, and the logits that they got among others, once or more
            often: a model may tell them from clean images, and small batches from large ones.
    """
    few = x[:ALONE] if sample is None else sample[0]
    spent = (3 if random else 2) * len(few)
    seedable = random and bool(torch.equal(_answers(model, few), _answers(model, few)))
    with counted_gradients() as asked:
        whole = _answers(model, few)
    if random:
        shown = few if near is None else torch.cat([few.cpu(), near[0].cpu()])
        crowded = _steady_alone(model, shown)
        spent += (2 + STEADY) * len(shown)
    else:
        crowded = _crowded(model, few, (whole,) if sample is None else (whole, sample[1]))
        if near is not None:
            crowded = max(crowded, _crowded(model, near[0], near[1:]))
            spent += len(near[0])
    scale, more = (None, 0) if random else _better_scale(model, x[:64], y[:64], twice[0])
    return Conduct(
        seedable=seedable,
        crowded=crowded,
        dynamic=asked[0] > 0,
        scale=scale,
        twice=twice,
        passes=spent + more,
    )


def _answers(model: Model, x: Tensor) -> Tensor:
    """One pass from the state of the generator that every guard begins with."""
    with model.guard(), torch.no_grad():
        return model.logits(model.accept(x)).float().cpu()


def _crowded(model: Model, x: Tensor, together: Sequence[Tensor]) -> float:
    """P4: the share of images whose answer depends on who is beside them: alone, and as seen in company."""
    with model.guard(), torch.no_grad():
        try:
            alone = torch.cat([model.logits(model.accept(one)).float().cpu() for one in torch.split(x, 1)])
        except (ValueError, RuntimeError, SparringError):  # batch norm in train mode wants more than one value
            return 1.0
    bar = FAR_IN_LOW_PRECISION if model.dtype in (torch.float16, torch.bfloat16) else FAR
    far = [(alone - whole).abs().amax(1) > bar * whole.abs().amax(1).clamp(min=1.0) for whole in together]
    return float(torch.stack(far).any(0).double().mean())


def _steady_alone(model: Model, x: Tensor) -> float | None:
    """P4 for a model that answers at random: in company it does, and alone it does not."""
    with model.guard(), torch.no_grad():
        x = model.accept(x)
        moves = (model.logits(x) != model.logits(x)).any(1)
        try:
            alone = [torch.cat([model.logits(one) for one in torch.split(x, 1)]) for _ in range(STEADY)]
        except (ValueError, RuntimeError, SparringError):
            return None
    same = torch.stack([(one == alone[0]).all(1) for one in alone]).all(0)
    share = float(same[moves].double().mean()) if bool(moves.any()) else 0.0
    return share if share >= 0.5 else None


def _better_scale(model: Model, x: Tensor, y: Tensor, right: float) -> tuple[str | None, int]:
    """P6: pixels in another range, on which the model does better by 10 points, and by 5 images at least."""
    spent = 0
    for shift, text in other_scales(model, x):
        with model.guard(), torch.no_grad():
            try:
                raw = model.answer(shift.to(model.device or shift.device))
                label = model.read(unpack(raw)).argmax(1).cpu()
            except (ValueError, RuntimeError, SparringError):
                continue
        spent += len(x)
        share = float((label == y).double().mean())
        if share - right >= max(0.1, 4.5 / len(x)):  # of ten images, one more says nothing
            return f"{text} it is right on {100 * share:.1f} %", spent
    return None, spent


@contextmanager
def counted_gradients() -> Iterator[list[int]]:
    """P5: how often gradients are asked for inside, in a list of one number."""
    calls, names = [0], ("grad", "backward")
    before = {name: getattr(torch.autograd, name) for name in names}
    method = torch.Tensor.backward

    def counting(function: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            calls[0] += 1
            return function(*args, **kwargs)

        return call

    try:
        for name in names:
            setattr(torch.autograd, name, counting(before[name]))
        torch.Tensor.backward = counting(method)  # type: ignore[method-assign]
        yield calls
    finally:
        for name in names:
            setattr(torch.autograd, name, before[name])
        torch.Tensor.backward = method  # type: ignore[method-assign]
