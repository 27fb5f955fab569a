"""Adaptive attacks: what an attacker does who knows what the probes found. Run after the suite, on unbroken images.

    found                                              the remedy
    the softmax is saturated                           logits divided by their median margin; margin losses again
    no gradient, or flat to the last bit               past the stages as they declare (BPDA), else past all that is
                                                       found to hide a gradient (`detour`)
    random answers                                     gradients averaged over copies (EOT), judged by fresh looks
    gradients or confidences not to be believed        scores inside the model; searches that see the class alone
    scores inside, not in step with the answer         climbs on these
    gradients that mislead or turn at every corner     averaged over neighbours; more restarts
    the batch matters                                  one image at a time for all attacks (`probes.asked`); then
                                                       what stands in batches, too: the worse of both counts

A defended model is attacked past its stages whatever was found (`Model.exposed`). Modules in train mode are measured
beside, in eval mode (`probes.eval_mode`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparring.audit.cascade.wrappers import COMPANY, SURROGATE_EXPOSED, surrogate_of, surrogate_text
from sparring.audit.probes.probe import Probes, saturated
from sparring.audit.statistics.proportion import Figure
from sparring.audit.suites.builtin import nearest_point
from sparring.audit.suites.stage import Stage, unfit
from sparring.model import Model
from sparring.preprocess import Defended
from sparring.threat import Threat

SHORT, LONG = 20, 50
"steps of an adaptive attack, with suites of up to 50 steps and with longer ones"
COPIES = 10
"passes a gradient, where gradients are averaged"
LAST_COPIES = 5
"the same of the last climb on a defense that the others search a surrogate of"
DEFENDED = "defended"
"code of the remedy for a model with stages that declare their backward, where the probes found nothing"
INNER = "inner-scores"
"code of the remedy for a model with scores inside that are not in step with its answer, where the probes doubt nothing"
NEIGHBOURS = "batch-dependent"
DOUBTFUL = (
    "piecewise-constant",
    "zero-gradients",
    "climbs-go-astray",
    "unfaithful-gradients",
    "unstable-outputs",
    "remembers-questions",
    NEIGHBOURS,
    "scores-leap",
)
"signs after which gradients, and the confidence itself, are not to be believed: then the class alone is asked"
QUERIES = 1000
"an image, of each search without gradients"
BENT = ("unfaithful-gradients", "misaligned-gradients", "unstable-outputs")


@dataclass(frozen=True)
class Remedy:
    """What answers a sign.

    Attributes:
        code: of the doubt. what: the remedy, in words. stages: its attacks.
    """

    code: str
    what: str
    stages: tuple[Stage, ...]


@dataclass(frozen=True)
class Tried:
    """A remedy that was tried, on the sanity subset.

    Attributes:
        code, what: see `Remedy`. oblivious: survives all attacks of the suite that see gradients. adaptive:
            survives the remedy's attacks.
    """

    code: str
    what: str
    oblivious: Figure
    adaptive: Figure

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        known = {"oblivious": self.oblivious.to_dict(), "adaptive": self.adaptive.to_dict()}
        return {"code": self.code, "remedy": self.what, **known}


def remedies(
    signs: Sequence[str], probes: Probes, model: Model, threat: Threat, stages: Sequence[Stage]
) -> tuple[Remedy, ...]:
    """What to try after the suite's `stages`, given the codes of what the probes found; only what can run here."""
    found = []
    for remedy in _wanted(set(signs), probes, model, threat, steps_of(stages)):
        able = tuple(stage for stage in remedy.stages if unfit(stage, model, threat) is None)
        if able:
            found.append(Remedy(remedy.code, remedy.what, able))
    return tuple(found)


def misleading(signs: Collection[str], probes: Probes) -> list[str]:
    """Those of the signs that are `DOUBTFUL`; but neighbours mislead nobody once images are asked for alone."""
    return [code for code in DOUBTFUL if code in signs and not (code == NEIGHBOURS and probes.alone)]


def _wanted(signs: set[str], probes: Probes, model: Model, threat: Threat, steps: int) -> Iterator[Remedy]:
    shielded = model.exposed() is not model
    hidden = next((code for code in ("piecewise-constant", "zero-gradients") if code in signs), None)
    through = "exposed" if shielded else ("detour" if hidden else "")
    random = "random-outputs" in signs
    if saturated(probes):
        scale = f"{max(1.0, probes.gap):.4g}"
        what = f"logits divided by {scale}, their median margin"
        again = _climb("APGD-DLR, again", f"apgd-dlr:steps={steps},restarts=3", full_on_subset=False)
        yield Remedy(
            "loss-saturation",
            what,
            (_climb(f"PGD (logits / {scale})", f"pgd:steps={steps}", f"rescaled:{scale}"), again),
        )
    cheaper = surrogate_of(model)
    if cheaper is not None:
        view = f",view=eot{COPIES}" if getattr(cheaper, "random", False) else ""
        last = last_climb(model, steps)
        then = "" if last is None else ", at last of the defense itself"
        yield Remedy(
            hidden or ("random-outputs" if random else DEFENDED),
            f"gradients of {surrogate_text(cheaper)}{then}, judged by the defense itself",
            (
                _climb("PGD (margin, surrogate)", f"pgd:loss=margin,steps={steps}{view}", SURROGATE_EXPOSED),
                _climb(
                    "APGD-DLR (surrogate)", f"apgd-dlr:steps={2 * steps}{view}", SURROGATE_EXPOSED, full_on_subset=False
                ),
                *(() if last is None else (last,)),
            ),
        )
        return
    if (shielded or hidden) and not random:
        how = "BPDA through what the model declares" if shielded else "gradients straight through what hides them"
        title = "BPDA" if shielded else "straight through"
        yield Remedy(
            hidden or DEFENDED,
            how,
            (
                _climb(f"PGD (margin, {title})", f"pgd:loss=margin,steps={steps}", through),
                _climb(f"APGD-DLR ({title})", f"apgd-dlr:steps={2 * steps},restarts=2", through, full_on_subset=False),
                *(
                    _climb(f"{one.title} ({title})", one.spec, through, one.full_on_subset, norm=one.norm)
                    for one in nearest_point(max(300, 6 * steps))
                ),
            ),
        )
    if random:
        view = f"view=eot{COPIES}"
        past = " and BPDA" if shielded else ""
        twice = _climb(
            f"PGD (margin, EOT {2 * COPIES})", f"pgd:loss=margin,steps={steps},view=eot{2 * COPIES}", through
        )
        more = (replace(twice, min_progress=1),) if steps >= LONG else ()  # a control, on the sanity subset alone
        yield Remedy(
            "random-outputs",
            f"gradients averaged over {COPIES} passes (EOT){past}",
            (
                _climb(f"PGD (margin, EOT {COPIES})", f"pgd:loss=margin,steps={steps},{view}", through),
                _climb(f"APGD-DLR (EOT {COPIES})", f"apgd-dlr:steps={steps},{view}", through, full_on_subset=False),
                *more,
            ),
        )
    if probes.alone:
        yield Remedy(NEIGHBOURS, "images in batches, where they had been asked for alone", _in_company(steps))
    doubt = next(iter(misleading(signs, probes)), None)
    if probes.inner is not None and not random:
        inner = f"inner:{probes.inner}:{probes.classes}"
        yield Remedy(
            INNER if doubt is None else doubt,
            "gradients of a tensor inside the model that says what its answer says",
            (
                _climb("PGD (margin, inner tensor)", f"pgd:loss=margin,steps={steps}", inner),
                _climb("APGD-DLR (inner tensor)", f"apgd-dlr:steps={steps}", inner, full_on_subset=False),
                _climb(
                    "APGD-T (inner tensor)", f"apgd-t:steps={max(50, steps)},targets=3", inner, full_on_subset=False
                ),
                *(
                    _climb(f"{one.title} (inner tensor)", one.spec, inner, one.full_on_subset, norm=one.norm)
                    for one in nearest_point(max(300, 6 * steps))
                ),
            ),
        )
    if doubt is not None and not random:
        yield Remedy(doubt, "searches that need no gradients", _blind_searches(steps))
    bent = next((code for code in BENT if code in signs), None)
    if bent is not None and not random and not hidden:
        view = f"view=eot{COPIES}(noise:{threat.eps:.6g})"
        yield Remedy(
            bent,
            f"gradients averaged over {COPIES} neighbours",
            (
                _climb("PGD (margin, averaged)", f"pgd:loss=margin,steps={steps},{view}", through),
                _climb("APGD-DLR, more restarts", f"apgd-dlr:steps={steps},restarts=3", through, full_on_subset=False),
            ),
        )


def last_climb(model: Model, steps: int) -> Stage | None:
    """The climb on an expensive defense itself, for what searches on its surrogate have left; None where its gradient
    is none of its own."""
    if not (isinstance(model, Defended) and all(stage.backward == "exact" for stage in model.stages)):
        return None
    view = f",view=eot{LAST_COPIES}" if model.random else ""
    spec = f"pgd:loss=margin,steps={steps}{view}"
    return _climb("PGD (margin, the defense itself)", spec, "exposed", full_on_subset=False)


def _blind_searches(steps: int) -> tuple[Stage, ...]:
    """Attacks on the class or the scores alone, for every norm, on what still stands."""
    queries = QUERIES * (1 if steps <= SHORT else 3)
    return tuple(
        Stage(title, f"{name}:queries={queries}", "query", full_on_subset=False)
        for title, name in (("RayS", "rays"), ("CGBA", "cgba"), ("GeoDA", "geoda"), ("Sparse-RS", "sparse-rs"))
    )


def _in_company(steps: int) -> tuple[Stage, ...]:
    """Climbs, and searches for where gradients are of no use, of a model that is shown batches."""
    climbs = (
        _climb("PGD (margin, in batches)", f"pgd:loss=margin,steps={steps}", COMPANY, full_on_subset=False),
        _climb("APGD-DLR (in batches)", f"apgd-dlr:steps={steps}", COMPANY, full_on_subset=False),
    )
    blind = (replace(one, title=f"{one.title} (in batches)", wrapper=COMPANY) for one in _blind_searches(steps))
    return (*climbs, *blind)


def _climb(title: str, spec: str, wrapper: str = "", full_on_subset: bool = True, norm: str = "") -> Stage:
    return Stage(title, spec, "adaptive", full_on_subset=full_on_subset, wrapper=wrapper, norm=norm)


def steps_of(stages: Sequence[Stage]) -> int:
    """As long as the suite's climbs at the given radius are."""
    climbs = [attack for attack in (stage.attack() for stage in stages) if attack.info.aim == "budget"]
    fields = [climb.settings() for climb in climbs]
    most = max((int(each.get("steps") or 1) for each in fields if "restarts" in each), default=1)
    return SHORT if most <= 50 else LONG
