"""Searched in low precision, judged in full: where a processor multiplies bfloat16 faster, attacks take less time.

    attack on the model in bfloat16   ->   one look at each point it hands over, in the model's own precision
    where the two looks disagree      ->   the attack once more, in the model's own precision

So no verdict rests on bfloat16, and no image is given up because bfloat16 saw a success that is none. What it costs:
gradients are coarser, and two batch sizes may round differently, so that points (never their proofs) may depend on the
batch size, which they do not otherwise. Attacks that query stay as they are: a random search goes by differences of
the margin that bfloat16, with 8 bits, does not see.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from sparring.audit.probes.wrapped import Wrapped
from sparring.audit.suites.stage import Stage
from sparring.batches import batches
from sparring.errors import InputError
from sparring.model import Model
from sparring.result import PER_SAMPLE, Result
from sparring.threat import Untargeted

FULL, LOW, AUTO = "float32", "bfloat16", "auto"
PRECISIONS = (FULL, LOW, AUTO)


class Lowered(Wrapped):
    """The same classifier; where torch's autocast allows it, it computes in bfloat16."""

    def raw(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype=torch.bfloat16):
            answer = self.inner.raw(x)
        return answer.float() if answer.dtype is torch.bfloat16 else answer


def in_precision(stages: Sequence[Stage], precision: str, device: torch.device | None) -> tuple[Stage, ...]:
    """The stages as they are to be searched: in "float32" (the model's own), "bfloat16", or what pays here ("auto").

    Only attacks that go by gradients alone are searched in low precision, and none that repeat the work of others.

    Raises:
        InputError: another precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"the precision {precision!r} is not known; there are {', '.join(PRECISIONS)}")
    if precision == FULL or (precision == AUTO and not pays(device)):
        return tuple(stages)
    return tuple(replace(one, precision=LOW) if _by_gradients(one) else one for one in stages)


def _by_gradients(stage: Stage) -> bool:
    if stage.excluded or stage.family not in ("single-step", "iterative"):
        return False
    return "queries" not in stage.attack().settings()


def pays(device: torch.device | None) -> bool:
    """Whether the processor has instructions for bfloat16; others imitate it, which takes longer than float32."""
    if device is not None and device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())


def confirmed(model: Model, result: Result, y: Tensor, batch_size: int, again: Callable[[Tensor], Result]) -> Result:
    """What a search in low precision found, judged by `model` at the price of one query a point.

    Args:
        y: the labels of the clean images, all of them right in full precision.
        again: numbers of images [r] -> the same attack on them in full precision.
    """
    with model.guard(), torch.no_grad():
        logits = torch.cat(
            [model.logits(model.accept(part)).cpu() for part, _ in batches((result.x_adv, y), batch_size)]
        )
    goal = Untargeted(y)
    fooled = goal.hit(logits.argmax(1))
    apart = (fooled != result.success).nonzero().squeeze(1)
    judged = replace(result, margin=goal.margin(logits).to(result.margin.dtype), queries=result.queries + 1)
    if not len(apart):
        return judged
    redone = again(apart)
    changed = {name: getattr(judged, name).clone() for name in PER_SAMPLE}
    for name, values in changed.items():
        new = getattr(redone, name)
        values[apart] = values[apart] + new if name in ("queries", "gradients") else new
    return replace(judged, **changed, seconds=judged.seconds + redone.seconds)
