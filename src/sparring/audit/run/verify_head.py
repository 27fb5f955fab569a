"""The first look at all images, and the probes, made once more and held against what the run says of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import subset_of
from sparring.audit.checks.run import early_doubts
from sparring.audit.inputs.clean import Clean, look
from sparring.audit.inputs.provenance import about_data
from sparring.audit.probes.probe import Probes
from sparring.audit.run.in_process import seeded
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared, measure
from sparring.audit.run.verify_points import CLOSE, UNSURE
from sparring.model import Model

NEAR = 0.02
"of a probe's figure, and of 1: forgiven to rounding, and to another processor"
APART = ("canary", "passes", "training")
"probes that are not compared: attacks on planted classifiers, what was spent, the names of modules"


@dataclass(frozen=True)
class Again:
    """What is seen now: answers to all images, the sanity subset, the probes, SHA-256 of each shard's images and of
    all."""

    clean: Clean
    subset: Tensor
    probes: Probes
    parts: tuple[str, ...]
    sha256: str


def look_again(plan: Plan) -> Again:
    """Look at all images and probe the model, as the run did."""
    with seeded(plan.seed):
        clean, sha256, parts = look(plan.model, plan.source, plan.batch_size, plan.shard_size, plan.suite.subset)
        clean, subset, probes = measure(plan, clean, sha256)
    return Again(clean, subset, probes, tuple(parts), sha256)


def head_findings(again: Again, head: Prepared, subset: int, seed: int) -> Iterator[str]:
    """What is wrong with labels, answers to the clean images and the sanity subset (of `subset` images)."""
    off = int((again.clean.y != head.clean.y).sum())
    if off:
        yield f"{off} labels are not those of the data"
    here, there = again.clean.logits.float(), head.clean.logits.float()
    if here.shape != there.shape:
        yield f"the model gives {here.shape[1]} classes, the run has {there.shape[1]}"
        return
    if head.probes.random != again.probes.random:
        yield f"the run says that the model answers {_kind(head.probes)}; it answers {_kind(again.probes)}"
    elif head.probes.random:
        share = float((here.argmax(1) != there.argmax(1)).double().mean())
        if share > UNSURE:
            yield f"the model's vote on {share:.0%} of the clean images is another than the run says"
    else:
        off = int(((here - there).abs().amax(1) > CLOSE * there.abs().amax().clamp(min=1.0)).sum())
        if off:
            yield f"the model answers {off} clean images otherwise than the run says"
    if not torch.equal(head.subset, subset_of(head.clean, subset, seed, again.sha256)):
        yield "the sanity subset is not the one that seed and data give"


def names_apart(again: Again, head: Prepared, model: Model) -> Iterator[tuple[bool, str]]:
    """What the run calls model, data and classes otherwise than they are called here: (it is false, and not just
    another name; what)."""
    here, there = about_data(again.clean, again.sha256), head.data
    for name in ("n", "shape", "classes", "sha256"):
        if there.get(name) != here[name]:
            yield True, f"the run says {name} {there.get(name)!a} of the data, which have {here[name]!a}"
    named, kept = (None if names is None else list(names) for names in (here["class_names"], there.get("class_names")))
    if named != kept and named is not None:
        yield True, "the classes are called otherwise than the run says"
    elif named != kept:
        yield False, "the names of the classes: they have none here"
    if head.model.get("name") != model.name:
        yield False, f"the name of the model: {head.model.get('name')!a} in the run, {model.name!a} here"
    if (there.get("name"), there.get("split")) != (here["name"], here["split"]):
        before, now = (f"{one.get('name')}, {one.get('split')}" for one in (there, here))
        yield False, f"the name of the data: {before!a} in the run, {now!a} here"


def probe_findings(again: Again, head: Prepared) -> Iterator[str]:
    """What the run says of the model otherwise than the probes do now. Of random models only which doubts follow."""
    classes = again.clean.classes
    here, there = ({doubt.code for doubt in early_doubts(_bare(one), classes)} for one in (again.probes, head.probes))
    for code in sorted(here ^ there):
        yield f"the probes {'show' if code in here else 'do not show'} {code}; the run says otherwise"
    if not again.probes.random:
        yield from _apart(again.probes.to_dict(), head.probes.to_dict())


def _apart(here: Mapping[str, Any], there: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Figures of the probes that differ by more than rounding explains."""
    for name in here:
        a, b = here[name], there.get(name)
        if name in APART:
            continue
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            yield from _apart(a, b, f"{path}{name}.")
        elif isinstance(a, int | float) and isinstance(b, int | float) and not isinstance(a, bool):
            if abs(a - b) > NEAR * max(1.0, abs(a)) or (a != a) != (b != b):
                yield f"the probe {path}{name} gives {a:.4g}; the run says {b:.4g}"
        elif a != b and not isinstance(a, list | tuple):
            yield f"the probe {path}{name} gives {a}; the run says {b}"


def _bare(probes: Probes) -> Probes:
    """Without the trials of attacks, which are not made again."""
    return Probes.of_dict({**probes.to_dict(), "canary": []})


def _kind(probes: Probes) -> str:
    return "at random" if probes.random else "the same twice"
