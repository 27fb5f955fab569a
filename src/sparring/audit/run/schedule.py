"""Which attacks run on a shard, in which order: those of the plan, and those that answer what the probes found."""

from __future__ import annotations

from dataclasses import replace

from sparring.audit.cascade.adaptive import Remedy, remedies
from sparring.audit.cascade.wrappers import SURROGATE, SURROGATE_EXPOSED, surrogate_of
from sparring.audit.checks.run import early_doubts
from sparring.audit.run.plan import Plan
from sparring.audit.run.prepare import Prepared
from sparring.audit.suites.stage import Stage
from sparring.model import Model
from sparring.threat import eps_text


def remedies_for(plan: Plan, prepared: Prepared) -> tuple[Remedy, ...]:
    """The adaptive attacks that answer what the probes found."""
    signs = [doubt.code for doubt in early_doubts(prepared.probes, prepared.clean.classes)]
    return remedies(signs, prepared.probes, plan.seen(prepared.probes), plan.threat, plan.stages)


def stages_of(plan: Plan, prepared: Prepared) -> tuple[Stage, ...]:
    """The stages of each cascade: those of the suite, then the adaptive ones."""
    return (*suite_stages(plan), *(stage for remedy in remedies_for(plan, prepared) for stage in remedy.stages))


def suite_stages(plan: Plan) -> tuple[Stage, ...]:
    """The stages of the suite: on the model itself, or on a surrogate where it is too expensive for searches."""
    wrapper = first_look(plan.model)
    return tuple(one if one.wrapper else replace(one, wrapper=wrapper) for one in plan.stages)


def first_look(model: Model) -> str:
    """The wrapper by which the suite's attacks look at a model: "" = as it is."""
    return "" if surrogate_of(model) is None else SURROGATE


def past_what_hides(plan: Plan, prepared: Prepared) -> str:
    """The wrapper by which the remedies see gradients past what hides them; "" where nothing does, or nobody can."""
    ways = (stage.wrapper for remedy in remedies_for(plan, prepared) for stage in remedy.stages)
    return next((way for way in ways if way in ("exposed", "detour", SURROGATE_EXPOSED)), "")


def looks_again(plan: Plan, prepared: Prepared) -> list[str]:
    """What runs after the attacks, in order: the receipt and the controls."""
    titles = ["Receipt (random images in full)"] if plan.receipt(prepared.draws) else []
    titles += ["Examples of another net"] if plan.suite.transfer else []
    return [*titles, "Second look", *(["Longer searches"] if plan.suite.longer else [])]


def timetable(plan: Plan, prepared: Prepared, curve: bool) -> list[tuple[str, int]]:
    """(title, most passes an image) of all that runs on a shard, in order; 0 passes for receipt and controls.

    `curve`: the security curve, too.
    """
    classes = prepared.clean.classes
    table = []
    for eps in plan.radii():
        where = "" if eps == plan.threat.eps else f" at eps {eps_text(eps)}"
        todo = [*(claim.stage for claim in plan.claims_at(eps, named=True)), *stages_of(plan, prepared)]
        table += [(stage.title + where, stage.usual_passes(classes)) for stage in todo]
    table += [(title, 0) for title in looks_again(plan, prepared)]
    stage = plan.curve_stage()
    if curve and stage is not None:
        table.append(("Security curve", stage.most_passes(classes)))
    if plan.prover is not None:
        table.append((f"Proof by {plan.prover.name}", plan.prover.passes))
    return table
