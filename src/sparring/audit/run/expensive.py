"""What an audit of a model too expensive for searches will cost: its own answers, and the surrogate's passes.

How many of each an image takes was measured once (docs/defense_gan.md: Defense-GAN as in the paper, the suite `quick`);
what each costs is measured here, on a few of the images.
"""

from __future__ import annotations

import time

import torch

from sparring.audit.cascade.wrappers import surrogate_of
from sparring.audit.run.plan import Plan
from sparring.durations import duration
from sparring.model import Model

ANSWERS, PASSES = 130, 1500
"an image: answers of the model itself, most of them by juries, and forward plus backward passes of the surrogate"
FEW = 16
"images that the cost is measured on"


def costs(plan: Plan) -> tuple[float, float]:
    """Seconds of one answer of the model, and of one pass of its surrogate."""
    cheaper = surrogate_of(plan.model)
    assert cheaper is not None
    return _seconds(plan, plan.model), _seconds(plan, cheaper)


def seconds_an_image(answer: float, step: float) -> float:
    """What an image takes, all in all, where an answer and a pass of the surrogate take so many seconds."""
    return ANSWERS * answer + PASSES * step


def said(plan: Plan) -> str:
    """One line to print before the start."""
    answer, step = costs(plan)
    n = len(plan.source)
    return (
        f"an answer takes {answer * 1e3:.2g} ms, so attacks search on a surrogate, {plan.surrogate} ({step * 1e3:.2g} "
        f"ms), and the model itself decides; {n:,} images: about {duration(n * seconds_an_image(answer, step))}"
    )


def _seconds(plan: Plan, model: Model) -> float:
    x, _ = plan.source.part(0, min(FEW, len(plan.source)))
    with model.guard(), torch.no_grad():
        x = model.accept(x)
        began = time.perf_counter()
        model.logits(x)
        return (time.perf_counter() - began) / len(x)
