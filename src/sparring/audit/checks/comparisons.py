"""Checks that compare attacks with each other: some orders make no sense unless something misleads.

The b rule: an attack beats others when it breaks at least 3 images of the sanity subset, and more than 1 % of it, that
the others do not break.
"""

from __future__ import annotations

import torch
from torch import Tensor

from sparring.audit.cascade.controls import looks_twice
from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import LEAST, WEAK, Found, Outcome, Skipped, check
from sparring.audit.statistics.mcnemar import LEVEL, mcnemar
from sparring.audit.statistics.proportion import percent
from sparring.norms import L0

SHARE = 0.01
TO_COMPARE = 20
APART, SURE = 0.1, 3.3
"a difference of two shares that is worth a word, and in standard errors"
GRADIENT = ("single-step", "iterative")
"families of attacks that see gradients"


def beats(one: Tensor, others: Tensor) -> int:
    """Images broken by `one` [s] and not by `others` [s]; 0 unless the b rule is met."""
    only = int((one & ~others).sum())
    return only if only >= LEAST and only > SHARE * len(one) else 0


def gradients_lead(seen: Evidence) -> bool:
    """Attacks with sound gradients find what queries find. Not so under L0: a gradient says little of which few pixels
    to change, and random search (Sparse-RS) breaks more on nets that hide nothing (docs/audit_checks.md)."""
    return seen.worst is None or seen.worst.threat.norm is not L0


def _compare(seen: Evidence, one: Tensor | None, others: Tensor | None, text: str) -> Outcome:
    """`text` with the images that `one` alone broke, where the b rule is met."""
    if one is None or others is None or not seen.gradients:
        all_fell = one is None and others is not None and len(others) and bool(others.all())
        return Skipped("gradients missed nothing" if all_fell else "not both kinds of attack ran")
    only = beats(one, others)
    return Found(text.format(only, len(one)), only / len(one)) if only else None


def _only(
    seen: Evidence, able: tuple[str, ...], others: tuple[str, ...], saturating: bool = False, twice: bool = True
) -> int:
    """Images, of all, that attacks of the families `able` break, and those of the families `others` tried in vain.

    `saturating`: only attacks on a saturating loss. `twice`: with the second look, see `run_second_look`.
    """
    broken: dict[bool, set[int]] = {True: set(), False: set()}
    tried: set[int] = set()
    for one in seen.outcomes:
        if one.stage.family in (*able, *others) and not one.stage.excluded and (twice or not looks_twice(one)):
            if saturating and not one.stage.saturating_loss:
                continue
            broken[one.stage.family in able] |= set(one.rows[one.result.success].tolist())
            tried |= set(one.rows.tolist()) if one.stage.family in others else set()
    return len((broken[True] & tried) - broken[False])


def _few(count: int, what: str, all_of: str) -> str:
    """What is in order below the threshold, with the count if it is not 0."""
    return f"{what} only {count} image{'s' if count > 1 else ''} that {all_of}" if count else ""


def _misses(seen: Evidence, able: str, who: str) -> str:
    """How far gradients keep up with attacks of the family `able`, whom the text calls `who`, below the threshold."""
    missed, first = (_only(seen, (able,), GRADIENT, twice=twice) for twice in (True, False))
    if not missed and first:
        found = "an image" if first == 1 else f"{first} images"
        return f"{who} {found} that gradients find only at a second look"
    return _few(missed, who, "gradients miss") or f"{who} nothing that gradients miss"


@check(
    "single-step-beats-iterative",
    severe=True,
    title="One step beats many",
    cause="the loss surface is rugged: one step breaks images that many steps do not",
    means="FGSM breaks images that PGD on the same loss does not. The loss surface is rugged, or the iterative attack "
    "has a bug.",
    remedy="Use smaller steps, more restarts and averaged gradients. Check how the iterative attack was made.",
    fine=lambda seen: (
        _few(_only(seen, ("single-step",), ("iterative",), saturating=True), "One step breaks", "many steps miss")
        or "Many steps beat one"
    ),
)
def single_step_beats_iterative(seen: Evidence) -> Outcome:
    """The b rule: FGSM against all iterative attacks on the same loss; or FGSM against any single iterative attack on
    the same images, if it breaks significantly more than that one (McNemar's test, 5 %)."""
    text = "one step breaks {} of {} images that many steps do not"
    pooled = _compare(seen, seen.on.single, seen.on.iterative, text)
    pairs = [found for one in seen.climbs if (found := _overtakes(seen, *one)) is not None]
    if isinstance(pooled, Found):
        return [pooled, *pairs]
    return pairs or pooled


def _overtakes(seen: Evidence, title: str, climb: Tensor) -> Found | None:
    """One step beats this climb [s] on the same images."""
    single = seen.on.single
    if single is None or not seen.gradients:
        return None
    more, fewer = beats(single, climb), int((climb & ~single).sum())
    if more <= fewer or mcnemar(more, fewer) >= LEVEL:
        return None
    return Found(f"one step breaks {more} of {len(single)} images that {title} does not", more / len(single))


@check(
    "climbs-go-astray",
    severe=True,
    title="Many steps lose what one step finds",
    cause="iterations go astray: one step fools images that many steps do not",
    means="FGSM fools images at once that PGD, which begins with the same step, does not fool in 20 steps. Away from "
    "the image the gradient or the confidence turns round: whoever follows it is led back.",
    remedy="Search without following the confidence: attacks on the class alone (RayS, HopSkipJump), or climb a tensor "
    "inside the model.",
    fine="Many steps find what one step finds",
    note=lambda seen: f"PGD misses {seen.probes.overtaken} of {seen.probes.stepped} images that one step fools",
    early=True,
)
def climbs_go_astray(seen: Evidence) -> Outcome:
    """PGD with 20 steps, on cross-entropy or on the margin, misses at least 3 of up to 12 images that FGSM fools, and a
    quarter of them."""
    probes = seen.probes
    if not probes.stepped:
        return Skipped("FGSM fooled nothing")
    if probes.overtaken < max(LEAST, 0.25 * probes.stepped):
        return None
    text = f"20 steps of PGD miss {probes.overtaken} of {probes.stepped} images that one step fools"
    return Found(text, probes.overtaken / probes.stepped)


@check(
    "black-box-beats-white-box",
    severe=True,
    title="Black box beats white box",
    cause="the gradients mislead: a query attack breaks images that gradient attacks do not",
    means="An attack that only sees scores breaks images that no attack with gradients breaks. The gradients mislead.",
    remedy="Find what bends the gradients. Use BPDA or averaged gradients, and more queries.",
    fine=lambda seen: _misses(seen, "query", "Query attacks find"),
)
def black_box_beats_white_box(seen: Evidence) -> Outcome:
    """The b rule: attacks that see only scores against all attacks that see gradients; not under L0, where random
    search finds more on honest nets, too."""
    if not gradients_lead(seen):
        return Skipped("under L0 random search is no weaker than gradients")
    return _compare(
        seen, seen.on.query, seen.on.gradient, "query attacks break {} of {} images that gradient attacks do not"
    )


@check(
    "noise-beats-gradient",
    severe=True,
    title="Random noise beats gradients",
    cause="the gradients mislead: random noise breaks images that gradient attacks do not",
    means="Random points of the ball fool the model where gradient attacks do not. The gradients mislead.",
    remedy="Find what bends the gradients. Use BPDA or averaged gradients, and more queries.",
    fine=lambda seen: _misses(seen, "noise", "Random noise finds"),
)
def noise_beats_gradient(seen: Evidence) -> Outcome:
    """The b rule: random noise against all attacks that see gradients."""
    return _compare(
        seen, seen.on.noise, seen.on.gradient, "random noise breaks {} of {} images that gradient attacks do not"
    )


@check(
    "transfer-beats-white-box",
    severe=True,
    title="Transfer beats gradients",
    cause="the gradients mislead: examples made for another net break images that gradient attacks do not",
    means="Examples made for another net, without any access to this one, fool it where attacks with its own gradients "
    "do not. The gradients mislead.",
    remedy="Find what bends the gradients. Use BPDA or averaged gradients, and more queries.",
    fine=lambda seen: _misses(seen, "transfer", "Examples made for another net find"),
)
def transfer_beats_white_box(seen: Evidence) -> Outcome:
    """The b rule: examples made for another net against all attacks that see gradients."""
    text = "examples made for another net break {} of {} images that gradient attacks do not"
    return _compare(seen, seen.on.transfer, seen.on.gradient, text)


@check(
    "inner-beats-answer",
    severe=True,
    title="Scores inside beat the answer's",
    cause="the scores mislead: attacks on scores inside the model break images that attacks on its answer do not",
    means="A tensor inside the model says the same class as its answer. Attacks that climb it break images that no "
    "attack on the answer itself breaks: what is done to the scores afterwards leads attacks astray.",
    remedy="Audit the net behind what changes its scores.",
)
def inner_beats_answer(seen: Evidence) -> Outcome:
    """The b rule: climbs on a tensor inside the model against all attacks that see gradients of its answer."""
    inside = [one for one in seen.outcomes if one.stage.wrapper.startswith("inner:")]
    if not inside or seen.on.gradient is None:
        return Skipped("no scores inside the model differ from its answer's")
    broken = torch.cat([one.rows[one.result.success] for one in inside])
    text = "climbs on scores inside the model break {} of {} images that attacks on its answer do not"
    return _compare(seen, torch.isin(seen.subset, broken), seen.on.gradient, text)


@check(
    "subset-differs",
    title="The sanity subset is unlike the rest",
    means="Images of the sanity subset, which is drawn at random, fall more or less often than the others. It gets "
    "more attacks (transfer, longer searches), which would break more of the rest, too; or the model treats some "
    "images in another way.",
    remedy="Run --suite full, or make the sanity subset as large as the data (a suite file with subset: N).",
    fine="The sanity subset is like the rest",
)
def subset_differs(seen: Evidence) -> Outcome:
    """The shares that survive, of the right images in the sanity subset and of all others, differ by 10 points and by
    over 3.3 standard errors (p < 0.001)."""
    worst = seen.worst
    if worst is None or len(seen.standing) != len(worst.clean_correct):
        return Skipped("there is nothing to compare")
    inside = torch.zeros_like(seen.standing)
    inside[seen.subset] = True
    groups = [seen.standing[worst.clean_correct & rows].double() for rows in (inside, ~inside)]
    if min(len(group) for group in groups) < TO_COMPARE:
        return Skipped("all images are in the sanity subset, or nearly all")
    here, there = (float(group.mean()) for group in groups)
    pooled = float(torch.cat(groups).mean())
    error = (pooled * (1 - pooled) * sum(1 / len(group) for group in groups)) ** 0.5
    if abs(here - there) < APART or abs(here - there) <= SURE * error:
        return None
    text = f"{percent(here)} of the sanity subset survive, and {percent(there)} of the other images"
    return Found(text, abs(here - there))


@check(
    WEAK,
    severe=True,
    title="The suite is too weak to require anything",
    cause="the suite is too weak for what was required",
    means="Something was required of the robust accuracy, and no attack searched for longer than a step or a few "
    "queries. Nearly every model passes such a test.",
    remedy="Use --suite quick or a stronger one.",
)
def weak_suite(seen: Evidence) -> Outcome:
    """Robust accuracy is required, and no attack takes 10 steps with gradients or 100 queries."""
    return Skipped("requirements are judged after the audit, see `Report.requiring`")


@check(
    "few-attacks",
    title="Few attacks could run",
    means="Attacks with gradients and attacks without gradients did not both run under this norm, access level or "
    "suite. The figure is a weak upper bound.",
    remedy="Grant more access, or use a norm that more attacks work under.",
)
def few_attacks(seen: Evidence) -> Outcome:
    """Only attacks with gradients ran, or only attacks without; random noise does not count."""
    if "query" not in seen.families:
        return Found("only attacks that see gradients ran; nothing would show that the gradients mislead")
    if seen.families <= {"query", "noise"}:
        return Found("only attacks without gradients ran")
    return None
