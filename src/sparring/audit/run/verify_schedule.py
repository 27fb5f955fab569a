"""What a shard says was done, held against what the plan says is to be done. The model is not asked.

Which images an attack gets follows from what the attacks before it have left, see `Cascade.run`. So a cascade is
played again on the stored results: an attack that is missing, that is not in the plan, that was given fewer images, or
that counts other breaks than it made, is found. How hard it searched cannot be known without searching.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade import coded, latent, refusals
from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.certificate import SEARCH
from sparring.audit.cascade.controls import CONTROLS
from sparring.audit.cascade.curve import epsilons
from sparring.audit.cascade.margin_progress import Headway
from sparring.audit.cascade.outcome import CLAIMED, LADDER, Outcome, Place
from sparring.audit.cascade.precision import FULL, LOW
from sparring.audit.cascade.receipt import RECEIPT
from sparring.audit.inputs.claims import parse_claim
from sparring.audit.inputs.clean import Clean
from sparring.audit.inputs.provenance import about_model
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared
from sparring.audit.run.records import pack
from sparring.audit.run.schedule import stages_of
from sparring.audit.run.shard import ShardResult, curve_stage_of, inside
from sparring.audit.suites.builtin import SUITES, black_box
from sparring.audit.suites.replay import Replay
from sparring.audit.suites.stage import Stage, Suite
from sparring.rng import digest
from sparring.scale.store import Record
from sparring.threat import Untargeted, eps_text, parse_eps

EXTRA = (latent.PLACE, coded.PLACE, refusals.PLACE)
"places of attacks that run only where the probes found something for them"
SETTINGS = ("seed", "batch_size", "shard_size", "clean_floor", "receipt", "certify")
"options that a plan keeps as they are"
AFTER = (RECEIPT, CONTROLS, SEARCH)
"first numbers of the places of what runs after the attacks"


def schedule_findings(plan: Plan, head: Prepared, clean: Clean, subset: Tensor, part: ShardResult) -> Iterator[str]:
    """What is wrong with the attacks that a shard has stored.

    Args:
        clean: the images of the shard, with clean logits. subset: those in the sanity subset, from 0.
    """
    number = part.first // plan.shard_size
    if not torch.equal(part.keys, digest(clean.x)):
        yield f"shard {number} calls its images otherwise than they are called"
    for eps, outcomes in zip(plan.radii(), part.outcomes, strict=True):
        where = f"shard {number}, at eps {eps_text(eps)}"
        places = [one.place for one in outcomes]
        if len(set(places)) < len(places):
            yield f"{where}: an attack is recorded twice"
            return
        for one in outcomes:
            if one.result.seed != plan.seed and one.place[0] in (CLAIMED, LADDER):
                yield f"{where}: {one.stage.title} was run with seed {one.result.seed}, not with {plan.seed}"
            if not (math.isfinite(one.result.seconds) and one.result.seconds >= 0):
                yield f"{where}: {one.stage.title} says that it took {one.result.seconds} s"
        yield from _played_again(plan, head, clean, subset, eps, {one.place: one for one in outcomes}, where)


def curve_findings(plan: Plan, head: Prepared, clean: Clean, part: ShardResult) -> Iterator[str]:
    """What is wrong with the attacks behind the security curve: which, where and on whom. Their points are not kept."""
    trials, stage, number = part.trials, curve_stage_of(plan, head), part.first // plan.shard_size
    if trials is None:
        if stage is not None and bool(inside(head.subset, plan.span(number)).numel()):
            yield f"shard {number} lacks its part of the security curve"
        return
    if trials.stage != stage:
        yield f"shard {number} draws the security curve with {trials.stage.spec}, not with the plan's attack"
    if (list(trials.grid), trials.whole_box) != epsilons(plan.threat, plan.model, clean):
        yield f"shard {number} draws the security curve at other radii than sparring does"
    if {one.seed for one in (*trials.results, *part.worst)} != {plan.seed}:
        yield f"shard {number} has results of another seed than the plan's"


def _played_again(
    plan: Plan, head: Prepared, clean: Clean, subset: Tensor, eps: float, known: Mapping[Place, Outcome], where: str
) -> Iterator[str]:
    cascade = Cascade(plan.at(eps), clean, subset, plan.seed, plan.batch_size, head.draws)
    left = dict(known)
    for k, claim in enumerate(plan.claims_at(eps, named=True)):
        yield from _one(cascade, left.pop((CLAIMED, k), None), claim.stage, torch.arange(len(clean)), where)
    headway = Headway(Untargeted(clean.y).margin(clean.logits))
    for k, stage in enumerate(stages_of(plan, head)):
        at = cascade.rows_of(stage, headway)
        done = left.pop((LADDER, k), None)
        yield from _one(cascade, done, stage, at, where)
        if done is not None:
            headway.note(stage, done.rows, done.result)
    for place, one in left.items():
        if place not in EXTRA and place[0] not in AFTER:
            yield f"{where}: {one.stage.title} is recorded, and not in the plan"
        else:
            yield from _one(cascade, one, one.stage, one.rows, where)


def _one(cascade: Cascade, done: Outcome | None, stage: Stage, rows: Tensor, where: str) -> Iterator[str]:
    """What one attack has done beside what it should have; takes it into account."""
    if done is None:
        if len(rows):
            yield f"{where}: {stage.title} is in the plan, and nothing is recorded of it"
        return
    known = replace(stage, spec=done.stage.spec) if _replays(done.stage.spec) and _replays(stage.spec) else stage
    if done.stage != known:
        yield f"{where}: {done.stage.title} ({done.stage.spec}) is recorded where the plan has {stage.spec}"
    if not torch.equal(done.rows, rows):
        yield f"{where}: {stage.title} was run on other images than the plan gives it"
        return
    cascade.add(stage, done.rows, done.result, done.place, done.moved, done.path)
    again = cascade.outcomes[-1]
    if not torch.equal(again.broke, done.broke) or (again.tried, again.robust) != (done.tried, done.robust):
        yield f"{where}: {stage.title} counts other breaks than its own record gives"


def record_findings(part: ShardResult, record: Record, number: int) -> Iterator[str]:
    """Tensors and values of a shard that stand for nothing."""
    tensors, values = record
    own, plain = pack(part)
    if not (math.isfinite(part.seconds) and part.seconds >= 0):
        yield f"shard {number} says that it took {part.seconds} s"
    strange = sorted((set(tensors) ^ set(own)) | (set(_paths(values)) ^ set(_paths(plain))))
    if strange:
        yield f"shard {number} holds what is not of a run: {', '.join(strange[:3])!a}"


def plan_findings(plan: Plan, known: Mapping[str, Any]) -> Iterator[str]:
    """What plan.json (`known`) says beside what it decides about, and of the suite that it names."""
    here = tuple(stage for stage in plan.stages if not _replays(stage.spec))
    bare = replace(plan, stages=here, suite=replace(plan.suite, curves=()))
    strange = sorted(set(known) - {*bare.identity(), "certify", "plugins"})
    if strange:
        yield f"plan.json holds what is not of a plan: {', '.join(strange[:3])!a}"
    builtin = _builtin(plan.suite.name)
    if builtin is None:
        return
    able, _ = builtin.fit(plan.model, plan.threat)
    wanted = sorted((stage.title, stage.spec, str(stage.min_progress)) for stage in able)
    if wanted != sorted((stage.title, stage.spec, str(stage.min_progress)) for stage in here):
        yield f"plan.json calls its attacks the suite {plan.suite.name}, which has others"
    controls = (builtin.subset, builtin.transfer, builtin.longer, builtin.receipt)
    asked = plan.asked.receipt == "off" or plan.suite.receipt == builtin.receipt
    if (plan.suite.subset, plan.suite.transfer, plan.suite.longer) != controls[:3] or not asked:
        yield f"plan.json calls its controls those of the suite {plan.suite.name}, which has others"


def options_findings(plan: Plan, options: Mapping[str, Any]) -> Iterator[str]:
    """Where the plan is not what the options of the command ask for."""
    eps = plan.threat.eps
    assert eps is not None
    claims = [parse_claim(text) for text in options["claim"]]
    asked = {
        "norm": (options["norm"], str(plan.threat.norm)),
        "eps": (parse_eps(str(options["eps"])), eps),
        "claim": (list(dict.fromkeys(replace(one, eps=eps if one.eps is None else one.eps).spec for one in claims)),
                  [one.spec for one in plan.claims]),
        **{name: (options[name], getattr(plan.asked, name)) for name in SETTINGS},
    }  # fmt: skip
    wanted = "black-box" if options["suite"] == "standard" and plan.model.access != "gradient" else options["suite"]
    if wanted in (*SUITES, "black-box"):
        asked["suite"] = (wanted, plan.suite.name)
    for name, (said, done) in asked.items():
        if said != done:
            yield f"options.json asks for {name} {said!a}, and the plan has {done!a}"


def head_record_findings(plan: Plan, head: Prepared, record: Record) -> Iterator[str]:
    """What the head shard says of model, settings and what was left out, and what stands for nothing in it."""
    tensors, values = record
    own, plain = head.to_record()
    strange = sorted((set(tensors) - set(own)) | (set(_paths(values)) - set(_paths(plain))))
    if strange:
        yield f"the head shard holds what is not of a run: {', '.join(strange[:3])!a}"
    settings = dict(head.settings or {})
    if "stages" in settings:
        settings["stages"] = [spec for spec in settings["stages"] if not _replays(spec)]
    decided = {
        "batch_size": plan.batch_size,
        "clean_floor": plan.clean_floor,
        "stages": [stage.spec for stage in plan.stages if not _replays(stage.spec)],
        "surrogate": plan.surrogate,
        "precision": LOW if any(stage.precision for stage in plan.stages) else FULL,
        "n": settings.get("n") and len(plan.source),
    }
    off = sorted(name for name, value in decided.items() if settings and settings.get(name) != value)
    off += sorted(set(settings) - {*decided, "order_from", "threads"})
    now = about_model(plan.model)
    off += sorted(name for name in {*now, *head.model} - {"name", "device"} if head.model.get(name) != now.get(name))
    builtin = _builtin(plan.suite.name)
    if builtin is not None and head.left_out is not None and head.left_out != builtin.fit(plan.model, plan.threat)[1]:
        off.append("left_out")
    if not (math.isfinite(head.seconds) and head.seconds >= 0):
        off.append("seconds")
    if off:
        yield f"the head shard says otherwise than the plan: {', '.join(off)!a}"


def _builtin(name: str) -> Suite | None:
    """The suite of this package that is called so."""
    return black_box() if name == "black-box" else SUITES.get(name)


def _replays(spec: str) -> bool:
    """It tries what another run has found, and names that run by its folder or by what is in it."""
    return spec.partition(":")[0] == Replay.info.name


def _paths(plain: Any, path: str = "") -> Sequence[str]:
    """Names of all that nested plain values hold; entries of lists are alike."""
    if isinstance(plain, Mapping):
        return sorted({name for key in plain for name in (f"{path}{key}", *_paths(plain[key], f"{path}{key}."))})
    if isinstance(plain, list | tuple):
        return sorted({name for one in plain for name in _paths(one, path)})
    return []
