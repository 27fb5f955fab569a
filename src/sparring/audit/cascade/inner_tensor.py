"""The inner tensor: scores inside a model that say what its answer says, before something masks them.

A mask at the end of a net (hard labels, rounded or turned confidences) leaves the net's own scores in its memory. Any
tensor [B, K] that is computed on the way, and whose largest entry is the model's answer on clean images, can be
climbed in its place. What is found is judged by the model's own answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from sparring.audit.cascade.straight_through import Detoured, detour
from sparring.audit.probes.asked import questions
from sparring.batches import batches
from sparring.model import Model
from sparring.result import Result
from sparring.threat import Untargeted

AGREE = 0.9
"of clean images on which an inner tensor must say the model's class"
SHOWN = 32
"images that candidates are looked for with"


class Caught(TorchFunctionMode):
    """Inside: every floating tensor [B, K] that an operation gives, in order."""

    def __init__(self, shape: tuple[int, int]) -> None:
        super().__init__()
        self.shape = shape
        self.seen: list[Tensor] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        answer = func(*args, **(kwargs or {}))
        if isinstance(answer, Tensor) and tuple(answer.shape) == self.shape and answer.is_floating_point():
            self.seen.append(answer)
        return answer


class Inner(Detoured):
    """The model, its logits replaced by the `number`-th tensor [B, K] that it computes; gradients go past what hides
    them."""

    def __init__(self, inner: Detoured, number: int, classes: int) -> None:
        super().__init__(inner.inner, inner.blind, inner.straight)
        self.number, self.columns = number, classes

    def raw(self, x: Tensor) -> Tensor:
        if x.requires_grad:
            return super().raw(x)
        return self._asked(x)

    def _asked(self, x: Tensor) -> Tensor:
        with ExitStack() as stack:
            caught = stack.enter_context(Caught((len(x), self.columns)))
            answer = self.inner.raw(x)
        return caught.seen[self.number] if self.number < len(caught.seen) else answer

    def read(self, raw: Tensor) -> Tensor:
        return raw.float() if raw.dtype in (torch.float16, torch.bfloat16) else raw


def inner_tensors(model: Model, x: Tensor) -> tuple[int, ...]:
    """Numbers of the candidates, the earliest first: they say the model's class on images x [n, ...], and are not what
    it returns (though they may be equal to it on clean images)."""
    with model.guard(), torch.no_grad():
        point = model.accept(x[:SHOWN])
        logits = model.logits(point)
        asked, parts = questions(model, point)
        seen = []
        for part in parts:
            with Caught((len(part), logits.shape[1])) as caught:
                returned = asked.raw(part)
            seen.append([one.argmax(1) if one is not returned else None for one in caught.seen])
    answer = logits.argmax(1)
    return tuple(number for number in range(min(map(len, seen))) if _agree([each[number] for each in seen], answer))


def _agree(said: Sequence[Tensor | None], answer: Tensor) -> bool:
    """These classes, batch by batch, are mostly those of the answer [n]; None = of what the model returns itself."""
    known = [one for one in said if one is not None]
    return len(known) == len(said) and float((torch.cat(known) == answer).double().mean()) >= AGREE


def climbed(model: Model, number: int, x: Tensor, classes: int) -> Inner:
    """The model with its `number`-th inner tensor as logits."""
    return Inner(detour(model, x[:2]), number, classes)


def judged_outside(model: Model, result: Result, x: Tensor, y: Tensor, batch_size: int) -> Result:
    """What a search on an inner tensor found, judged by the model's own answer: one more query a point."""
    with model.guard(), torch.no_grad():
        parts = [model.logits(model.accept(part)).cpu() for part, _ in batches((result.x_adv, y), batch_size)]
    logits, goal = torch.cat(parts), Untargeted(y)
    fooled = goal.hit(logits.argmax(1)) & logits.isfinite().all(1)
    size = result.threat.norm.size(result.x_adv - x)
    return replace(
        result,
        success=fooled,
        distance=torch.where(fooled, size.to(result.distance), torch.inf),
        margin=goal.margin(logits).to(result.margin.dtype),
        first_hit=torch.where(fooled, result.first_hit.clamp(min=1), -1),
        queries=result.queries + 1,
    )
