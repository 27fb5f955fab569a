"""What an audit will cost, from a few seconds of it: images, time and the width of the interval that they buy.

The suite is run on a few images at a time, more each time, until the seconds are up. A stage that they do not reach is
charged its most passes, for the share of images that are likely to come so far. Attacks that the sanity subset gets in
full are run on broken images, too, where they are soon over. Controls come on top: the probes, the sanity subset, the
security curve, the receipt; and the proof of what stands, by its usual cost.
Nothing is kept: the audit itself starts afresh.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.controls import longer
from sparring.audit.cascade.curve import FACTORS
from sparring.audit.cascade.margin_progress import Headway
from sparring.audit.cascade.receipt import LEAST, SHARE
from sparring.audit.probes.asked import Alone
from sparring.audit.probes.behaviour import ALONE
from sparring.audit.probes.history import answers, differ
from sparring.audit.probes.probe import points_around
from sparring.audit.run.expensive import ANSWERS, PASSES, seconds_an_image
from sparring.audit.run.plan import Plan
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Stage, Suite
from sparring.budget import Budget
from sparring.durations import duration
from sparring.errors import InputError, SparringError
from sparring.threat import Untargeted

SIZES = (50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
FIRST = 8
"images of the first part"
SOON = 0.1
"of the most passes of an attack: a guess at what an image takes that falls anyway"
CURVED = 0.25
"the same of the security curve, which begins at radii where such images stand"
PROBED = 40
"passes of the probes, an image of the sanity subset"


@dataclass(frozen=True)
class Offer:
    """What one number of images buys: seconds that it takes, and half the width of the 95 % interval."""

    images: int
    seconds: float
    half_width: float

    def __str__(self) -> str:
        return f"{duration(self.seconds)}: +- {100 * self.half_width:.1f} points, {self.images:,} images"

    def to_dict(self) -> dict[str, Any]:
        return {"images": self.images, "seconds": self.seconds, "half_width": self.half_width, "said": str(self)}


@dataclass(frozen=True)
class Forecast:
    """What was measured, and what follows.

    Attributes:
        suite: its name. n: images that there are. tried: images that the probe attacked, standing: of them, at its end.
        seconds: that the probe took. per_pass: seconds of a forward or backward pass of one image.
        per_image: passes that an image takes. controls: passes that come on top.
        offers: by number of images. suites: (name, seconds) of each suite on all images, for the same model.
        reached: the probe has run every stage on at least one part of the images.
    """

    suite: str
    n: int
    tried: int
    standing: int
    seconds: float
    per_pass: float
    per_image: float
    controls: int
    offers: tuple[Offer, ...]
    suites: tuple[tuple[str, float], ...]
    reached: bool

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.__dict__, "offers": [one.to_dict() for one in self.offers], "suites": dict(self.suites)}


@dataclass
class _Probe:
    """What the images so far took."""

    seconds: float = 0.0
    passes: int = 0  # made
    charged: float = 0.0  # made, or guessed for stages that were not reached
    again: float = 0.0  # of what is charged, on images that were broken already
    tried: int = 0
    standing: int = 0
    reached: bool = False


def forecast(plan: Plan, seconds: float = 20.0) -> Forecast:
    """Probe for at most about so many seconds, and say what each number of images would take.

    Raises:
        InputError: no time, or no image that the model gets right.
    """
    if not seconds > 0:
        raise InputError(f"{seconds} seconds to probe; expected more than 0")
    if plan.surrogate is not None:
        return _of_expensive(plan)
    plan = _as_asked(plan)
    until, probe = time.perf_counter() + seconds, _Probe()
    for x, y in _parts(plan):
        if time.perf_counter() >= until or (probe.tried and probe.seconds / probe.tried > until - time.perf_counter()):
            break
        _try(plan, x, y, until, probe)
    if not probe.passes:
        raise InputError("the model gets none of the first images right: there is nothing to attack")
    per_pass, per_image = probe.seconds / probe.passes, (probe.charged - probe.again) / probe.tried
    again = probe.again / probe.tried
    share, n, classes = probe.standing / probe.tried, len(plan.source), plan.model.num_classes or 10
    if plan.prover is not None:
        per_image += share * plan.prover.passes
    sizes = sorted({size for size in SIZES if size < n} | {n})
    offers = [
        Offer(
            size,
            per_pass
            * (size * per_image + controls(plan, plan.stages, plan.suite, size, classes, share, per_image, again)),
            Figure(round(share * size), size).half_width,
        )
        for size in sizes
    ]
    own, full = _guess(plan.stages, classes, share), _full(plan.stages, classes)
    suites = []
    for suite in SUITES.values():
        stages, _ = suite.fit(plan.model, plan.threat)
        each = per_image * _guess(stages, classes, share) / own
        extra = controls(plan, stages, suite, n, classes, share, each, again * _full(stages, classes) / full)
        suites.append((suite.name, per_pass * (n * each + extra)))
    return Forecast(
        plan.suite.name,
        n,
        probe.tried,
        probe.standing,
        probe.seconds,
        per_pass,
        per_image,
        controls(plan, plan.stages, plan.suite, n, classes, share, per_image, again),
        tuple(offers),
        tuple(suites),
        probe.reached,
    )


def _as_asked(plan: Plan) -> Plan:
    """With the model asked for one image at a time, if it looks at the others of a batch: then a pass takes longer."""
    model = plan.model
    if model.access != "gradient":
        return plan
    x = model.accept(plan.source.part(0, min(ALONE, len(plan.source)))[0])
    try:
        for z in points_around(model, x, plan.threat, plan.seed):
            together, again, alone = (answers(one, z, len(z)) for one in (model, model, Alone(model)))
            if bool(differ(model, together, again).any()):  # it answers at random
                return plan
            if bool(differ(model, together, alone).any()):
                return replace(plan, model=Alone(model))
    except (ValueError, RuntimeError, SparringError):  # it refuses one image alone
        pass
    return plan


def _of_expensive(plan: Plan) -> Forecast:
    """Of a model that attacks search a surrogate of: from what one answer takes, see `expensive`."""
    began, n = time.perf_counter(), len(plan.source)
    each = seconds_an_image(plan)
    spent = time.perf_counter() - began
    sizes = sorted({size for size in SIZES if size < n} | {n})
    offers = tuple(Offer(size, size * each, Figure(size // 2, size).half_width) for size in sizes)
    passes = float(ANSWERS + PASSES)
    return Forecast(
        plan.suite.name, n, 0, 0, spent, each / passes, passes, 0, offers, ((plan.suite.name, n * each),), False
    )


def _parts(plan: Plan) -> Iterator[tuple[Tensor, Tensor]]:
    """Images in parts of 8, 16, 32 ..., at most a batch."""
    start, size = 0, FIRST
    while start < len(plan.source):
        stop = min(start + size, len(plan.source))
        x, y = plan.source.part(start, stop)
        yield plan.model.accept(x).cpu(), torch.as_tensor(y)
        start, size = stop, min(2 * size, plan.batch_size)


def _try(plan: Plan, x: Tensor, y: Tensor, until: float, probe: _Probe) -> None:
    """The suite on some images, as far as the time goes."""
    began = time.perf_counter()
    with plan.model.guard(), torch.no_grad():
        logits = plan.model.logits(plan.model.accept(x)).cpu()
    margin = Untargeted(y).margin(logits)
    standing, headway = margin < 0, Headway(margin)
    classes, on_time = logits.shape[1], True
    probe.tried += len(y)
    probe.passes += len(y)
    probe.charged += len(y)
    for stage in plan.stages:
        wanted = standing & headway.admits(stage)
        if stage.full_on_subset:
            wanted |= margin < 0
        at = wanted.nonzero().squeeze(1)
        broken = ~standing[at]
        left = until - time.perf_counter()
        if left <= 0:
            on_time = False
            more = SOON * int(broken.sum()) * stage.most_passes(classes)
            probe.charged += int(standing.sum()) * stage.usual_passes(classes) + more
            probe.again += more
        elif len(at):
            budget = Budget(seconds=left)
            result = stage.attack()(plan.model, x[at], y[at], plan.threat, seed=plan.seed, budget=budget)
            headway.note(stage, at, result)
            standing[at[result.success]] = False
            spent = (result.queries + result.gradients).double()
            probe.passes += int(spent.sum())
            if time.perf_counter() >= until:  # it was cut short
                spent = torch.where(result.success, spent, spent.clamp(min=stage.most_passes(classes)))
            probe.charged += float(spent.sum())
            probe.again += float(spent[broken].sum())
    probe.standing += int(standing.sum())
    probe.seconds += time.perf_counter() - began
    probe.reached |= on_time


def controls(
    plan: Plan, stages: Sequence[Stage], suite: Suite, n: int, classes: int, share: float, per_image: float, full: float
) -> int:
    """Passes that an audit of `n` images takes besides the cascade: probes, subset, curve, receipt, longer searches.

    Args:
        share: of the images that stand, which the cascade runs in full anyway.
        per_image: passes of the cascade; receipt and longer searches take at most a third of all its passes.
        full: passes of an image of the sanity subset for attacks that go on after it is broken.
    """
    subset, curve = min(plan.suite.subset, n), plan.curve_stage()
    climbs = 0 if curve is None else (len(FACTORS) + 1) * curve.most_passes(classes)
    drawn = climbs * (share + (1 - share) * CURVED)
    receipt = suite.receipt and plan.asked.receipt == "auto"
    again = max(LEAST, round(SHARE * n)) * sum(stage.most_passes(classes) for stage in stages) if receipt else 0
    more = share * sum(stage.most_passes(classes) for _, stage in longer(stages)) if suite.longer else 0.0
    capped = min(again + subset * more, (n * per_image + subset * full) / 3)
    return round(subset * (PROBED + drawn + full) + capped)


def _full(stages: Sequence[Stage], classes: int) -> float:
    """Passes of an image that goes through all that the sanity subset gets in full, from the settings alone."""
    return max(1.0, sum(stage.most_passes(classes) for stage in stages if stage.full_on_subset))


def _guess(stages: Sequence[Stage], classes: int, share: float) -> float:
    """Passes of an image that goes through these stages, from their settings alone."""
    return max(1.0, share * sum(stage.usual_passes(classes) for stage in stages))
