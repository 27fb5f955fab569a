"""Before the cascade: one look at all images, the sanity subset, the probes. Done once, needed by every shard."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.adaptive import misleading
from sparring.audit.cascade.cascade import shuffled, subset_of
from sparring.audit.cascade.hidden import look_inside, other_scores
from sparring.audit.cascade.majority_vote import DRAWS, looks, votes
from sparring.audit.checks.run import early_doubts
from sparring.audit.inputs.clean import Clean, by_chance, known, look, refuse_chance
from sparring.audit.inputs.provenance import about_data, about_model
from sparring.audit.probes.canary import Trial, canary, control
from sparring.audit.probes.gradient_quality import MOST
from sparring.audit.probes.history import answers
from sparring.audit.probes.probe import Probes, probe
from sparring.audit.run.plan import Plan
from sparring.batches import out_of_memory, while_it_fits
from sparring.errors import InputError, SparringError
from sparring.scale.store import Record

DEEPER = 32
"images that what hides gradients is looked for with"
AGAIN = 64
"images that a resumed run shows the model again"
SAME, SAME_IN_LOW_PRECISION = 2e-3, 5e-2
"how far logits may be apart, relative to the largest, for what another machine or batch does to rounding"


@dataclass(frozen=True)
class Prepared:
    """What every shard, and the conclusion, must know of the whole.

    Attributes:
        clean: labels and clean logits of all images, without pixels. subset: [s] numbers of the sanity subset.
        probes: what the model is like. parts: SHA-256 of the images of each shard.
        model, data: for the report. seconds: that it took.
        region: the pixels that may change, kept so that a run can be verified by itself; None = all.
        certified: [N] proved radii, None = none. left_out, settings: as in the plan, for the report; None = not kept
            (runs of version 0.1).
    """

    clean: Clean
    subset: Tensor
    probes: Probes
    parts: tuple[str, ...]
    model: dict[str, Any]
    data: dict[str, Any]
    seconds: float
    region: Tensor | None = None
    certified: Tensor | None = None
    left_out: tuple[str, ...] | None = None
    settings: dict[str, Any] | None = None

    @property
    def draws(self) -> int:
        """Fresh looks that decide success; 0 for models that answer the same twice."""
        return DRAWS if self.probes.random else 0

    def to_record(self) -> Record:
        """For the store."""
        tensors = {"y": self.clean.y, "logits": self.clean.logits, "subset": self.subset}
        optional = {"region": self.region, "certified": self.certified}
        tensors |= {name: value for name, value in optional.items() if value is not None}
        values = {"parts": self.parts, "model": self.model, "data": self.data, "seconds": self.seconds}
        values |= {"left_out": self.left_out, "settings": self.settings}
        return tensors, {**values, "probes": self.probes.to_dict()}

    @classmethod
    def of_record(cls, plan: Plan, record: Record) -> Prepared:
        """From the store."""
        tensors, values = record
        logits = tensors["logits"]
        pixels = torch.zeros(0, *values["data"]["shape"])
        clean = Clean(pixels, tensors["y"], logits, *known(plan.model, plan.source, logits.shape[1]))
        probes = Probes.of_dict(values["probes"])
        facts = {name: values[name] for name in ("model", "data", "seconds")}
        left_out = values.get("left_out")
        return cls(
            clean,
            tensors["subset"],
            probes,
            tuple(values["parts"]),
            **facts,
            region=tensors.get("region"),
            certified=tensors.get("certified"),
            left_out=None if left_out is None else tuple(left_out),
            settings=values.get("settings"),
        )


def prepare(plan: Plan) -> Prepared:
    """Look, refuse what makes no sense, probe.

    Raises:
        InputError: labels or pixels that do not fit; a model no better than chance.
        OutputError: the model's answers are no logits.
        OutOfMemory: there is not enough for a single image.
    """
    at_once = min(plan.batch_size, len(plan.source))
    besides = f" (the probes show it up to {MOST})"
    return while_it_fits(plan.model, at_once, lambda size: _prepare(plan.in_batches_of(size)), besides)


def _prepare(plan: Plan) -> Prepared:
    began = time.perf_counter()
    size = plan.suite.subset
    clean, sha256, parts = look(plan.model, plan.source, plan.batch_size, plan.shard_size, size)
    _refuse_unreachable(plan, clean)
    refuse_chance(plan.model, clean, plan.clean_floor)
    trials = rehearse(plan, clean)
    clean, subset, probes = measure(plan, clean, sha256)
    probes = replace(probes, canary=trials)
    return Prepared(
        replace(clean, x=clean.x[:0]),
        subset,
        probes,
        tuple(parts),
        about_model(plan.model),
        about_data(clean, sha256),
        time.perf_counter() - began,
        plan.threat.region,
        plan.certified,
        plan.left_out,
        plan.settings,
    )


def measure(plan: Plan, clean: Clean, sha256: str) -> tuple[Clean, Tensor, Probes]:
    """Probe the model: its answers to the clean images (votes, if it answers at random), the sanity subset, the
    probes. `sha256`: of the data."""
    subset = subset_of(clean, plan.suite.subset, plan.seed, sha256)
    mixed = subset[shuffled(len(subset), plan.seed + 1, sha256)]
    known = plan.threat, plan.seed, plan.batch_size, plan.training, plan.memory, _pixels(plan, clean, mixed)
    probes = probe(plan.model, clean, mixed, *known)
    if probes.remembers:  # from here on it is judged as it came
        clean, subset, probes = _anew(plan, clean, sha256, probes)
    if probes.conduct is not None and probes.conduct.crowded:  # from here on no image has neighbours
        clean, subset, probes = _alone(plan, clean, sha256, probes) or (clean, subset, probes)
    mixed = subset[shuffled(len(subset), plan.seed + 1, sha256)]
    probes = _deeper(plan, clean, mixed, probes)
    if probes.random:  # one look decides nothing: a majority of several does
        clean = replace(clean, logits=_voted(plan.as_seen(probes), clean))
        subset = subset_of(clean, plan.suite.subset, plan.seed, sha256)
        probes = replace(probes, passes=probes.passes + DRAWS * len(clean))
    return clean, subset, probes


def _deeper(plan: Plan, clean: Clean, rows: Tensor, probes: Probes) -> Probes:
    """With a look inside where there is something to doubt."""
    probes = replace(probes, classes=clean.classes)
    some = rows[:DEEPER]
    x = _pixels(plan, clean, some)
    if not misleading({doubt.code for doubt in early_doubts(probes, clean.classes)}, probes):
        return other_scores(plan.seen(probes), x, plan.threat, plan.seed, probes)
    return look_inside(plan.seen(probes), x, clean.y[some], plan.threat, plan.seed, probes)


def _anew(plan: Plan, clean: Clean, sha256: str, before: Probes) -> tuple[Clean, Tensor, Probes]:
    """The same of the model as it is seen after the probes `before`: put back before each question, or asked for one
    image at a time."""
    model = plan.seen(before)
    spans = [plan.span(number) for number in range(plan.shards)]
    logits = [answers(model, plan.source.part(span.start, span.stop)[0], plan.batch_size) for span in spans]
    clean = replace(clean, logits=torch.cat(logits))
    subset = subset_of(clean, plan.suite.subset, plan.seed, sha256)
    mixed = subset[shuffled(len(subset), plan.seed + 1, sha256)]
    known = plan.threat, plan.seed, plan.batch_size, plan.training, None, _pixels(plan, clean, mixed)
    probes = probe(model, clean, mixed, *known)
    passes = probes.passes + before.passes + len(clean)
    return clean, subset, replace(probes, remembers=before.remembers, passes=passes)


def _alone(plan: Plan, clean: Clean, sha256: str, before: Probes) -> tuple[Clean, Tensor, Probes] | None:
    """The same of the model asked for one image at a time; None where it cannot be asked so: it refuses, or what it
    says then is no better than chance."""
    assert before.conduct is not None
    try:
        clean, subset, probes = _anew(plan, clean, sha256, replace(before, alone=True))
    except (ValueError, RuntimeError, SparringError) as error:
        if out_of_memory(error):
            raise
        return None
    if by_chance(clean) or probes.conduct is None:
        return None
    conduct = replace(probes.conduct, crowded=before.conduct.crowded, scale=before.conduct.scale)
    return clean, subset, replace(probes, conduct=conduct, alone=True)


def _pixels(plan: Plan, clean: Clean, rows: Tensor) -> Tensor:
    """[r, ...] the images of these numbers, read again where they are not held."""
    if len(clean.x) == len(clean) or not len(rows):
        return clean.x[rows]
    return torch.cat([plan.model.accept(plan.source.part(i, i + 1)[0]).cpu() for i in rows.tolist()])


def _refuse_unreachable(plan: Plan, clean: Clean) -> None:
    """Refuse a radius that none of the images can use up."""
    low, high = plan.threat.within(plan.model.box).box or plan.model.box
    whole = len(clean.x) == len(clean)
    furthest = [torch.maximum(part - low, high - part) for part in torch.split(clean.x, 256)] if whole else []
    reach = max((float(plan.threat.norm.size(part.double()).max()) for part in furthest), default=None)
    for eps in plan.radii():
        replace(plan.threat.within(plan.model.box), eps=eps).refuse_unreachable(clean.x[0].numel(), reach)


def refuse_another_model(plan: Plan, head: Prepared) -> None:
    """Show the model the first images again: a run knows its model by its answers, not by its weights alone.

    Models that answer at random are not compared, nor are numbers that only rounding or another machine explains.

    Raises:
        InputError: it answers otherwise than when the run began.
    """
    if head.probes.random:
        return
    x, _ = plan.source.part(0, min(AGAIN, plan.span(0).stop))
    model = plan.seen(head.probes)
    with model.guard(), torch.no_grad():
        now = model.logits(model.accept(x)).float().cpu()
    then = head.clean.logits[: len(now)]
    bar = SAME_IN_LOW_PRECISION if plan.model.dtype in (torch.float16, torch.bfloat16) else SAME
    same_shape = now.shape == then.shape
    far = (now - then).abs().amax(1) > bar * then.abs().amax(1).clamp(min=1.0) if same_shape else torch.ones(1)
    if bool(far.any()):
        i = int(far.nonzero()[0])
        seen = f"image {i} is class {int(now[i].argmax())} now, and was {int(then[i].argmax())}, with other logits"
        raise InputError(
            f"the model answers {int(far.sum())} of {len(now)} images otherwise than when this run began ({seen}): its "
            "code, weights or preprocessing have changed; begin a new run in another folder"
        )


def rehearse(plan: Plan, clean: Clean) -> tuple[Trial, ...]:
    """The suite's attacks on what was planted for them, and on the control where there is one."""
    x, y, classes = clean.x, clean.y[: len(clean.x)], clean.classes
    known = control(plan.model, x, y, classes, plan.threat, plan.stages, plan.seed)
    return (
        *canary(plan.model, x, classes, plan.threat, plan.stages, plan.seed),
        *([] if known is None else [known]),
    )


def _voted(plan: Plan, clean: Clean) -> Tensor:
    """Logits [N, K] of all images that stand for the votes of several looks."""
    parts = []
    for number in range(plan.shards):
        span = plan.span(number)
        x, y = plan.source.part(span.start, span.stop)
        parts.append(votes(looks(plan.model, x, y, DRAWS, plan.seed, plan.batch_size), clean.classes))
    return torch.cat(parts)
