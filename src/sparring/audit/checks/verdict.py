"""The verdict: one sentence from numbers and doubts, as a careful expert would put it. A pure function.

It never promises: a pass reads "no attack within this budget ...". Rules (gap = claimed - what survives everything):

    the attacks missed what was planted, or the control stands      inconclusive, whatever else
    the model says one class for nearly every image                 inconclusive, unless a claim is 5 points too high
    gap within max(1 point, half the interval), nothing severe      claim-holds
    the same, but a severe doubt                                    inconclusive
    gap above 5 points and a severe doubt, for 10 % of the images   gradient-masking, with its cause
    any other gap                                                   overestimated: the attack was too weak, or faulty
    no claim, a severe doubt, for 10 % of the images                gradient-masking
    no claim, a severe doubt for fewer                              inconclusive
    no claim, nothing severe                                        no-claim
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from sparring.audit.cascade.adaptive import Tried
from sparring.audit.checks.doubts import MEANINGS, SEVERE
from sparring.audit.inputs.claims import Checked
from sparring.audit.statistics.proportion import Figure, percent
from sparring.result import Doubt

Status = Literal["claim-holds", "overestimated", "gradient-masking", "inconclusive", "no-claim"]
VOID = ("canary-missed", "control-stands")
"doubts after which no figure means anything"
MASKING_GAP = 0.05
MASKING_SHARE = 0.1


@dataclass(frozen=True)
class Alone:
    """What one attack leaves by itself. `by`: the cross-entropy loss, another loss, or no gradients at all."""

    title: str
    figure: Figure
    by: Literal["cross-entropy", "logits", "scores"]


@dataclass(frozen=True)
class Facts:
    """What a verdict rests on.

    Attributes:
        threat: as text, like "Linf 0.3". clean, robust: accuracy on all images, before and after all attacks.
        claims: checked ones. doubts: found. alone: what attacks leave by themselves on the sanity subset.
        tried: remedies. notes: what was measured about a doubt, in a few words, by its code.
    """

    threat: str
    clean: Figure
    robust: Figure
    claims: Sequence[Checked] = ()
    doubts: Sequence[Doubt] = ()
    alone: Sequence[Alone] = ()
    tried: Sequence[Tried] = ()
    notes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The conclusion, for machines (`status`, `cause`: the code of a doubt) and people (`sentence`)."""

    status: Status
    sentence: str
    cause: str | None = None


def judge(facts: Facts) -> Verdict:
    """The verdict on the most overstated claim, or on the model where nothing was claimed."""
    claims = [one for one in facts.claims if not one.claim.clean]
    worst = max(claims, key=lambda one: one.gap - one.tolerance, default=None)
    severe = [doubt for code in SEVERE for doubt in facts.doubts if doubt.code == code]
    void = next((doubt for doubt in severe if doubt.code in VOID), None)
    cause = next((doubt for doubt in severe if doubt.share >= MASKING_SHARE), severe[0] if severe else None)
    if void is not None:
        said = f"inconclusive: {_because(facts, void)}; {void.message}; no figure of this audit means anything"
        verdict = Verdict("inconclusive", said, void.code)
    else:
        verdict = _of_model(facts, cause) if worst is None else _of_claim(facts, worst, cause)
    first = _preface(facts)
    sentence = first + verdict.sentence
    return Verdict(verdict.status, sentence[0].upper() + sentence[1:] + ".", verdict.cause)


def _preface(facts: Facts) -> str:
    """What makes any claim ill defined comes first."""
    codes = {doubt.code for doubt in facts.doubts}
    said = []
    if "train-mode" in codes:
        said.append("the model came in train mode")
        said += [facts.notes["train-mode"]] if "train-mode" in facts.notes else []
    for one in facts.claims:
        if one.claim.clean and abs(one.gap) > one.tolerance:
            said.append(
                f"clean accuracy was claimed as {percent(one.claim.accuracy)} but is {percent(one.truth.value)}"
            )
    return "; ".join(said) + "; " if said else ""


def _of_claim(facts: Facts, one: Checked, cause: Doubt | None) -> Verdict:
    threat = f"{facts.threat.split()[0]} {one.eps:.4g}"
    claimed = f"claimed {percent(one.claim.accuracy)}" + (f" under {one.claim.title}" if one.claim.attack else "")
    left = f"at most {percent(one.truth.value)} of {one.truth.of} images survive {threat} ({one.truth.interval})"
    if one.gap <= one.tolerance:
        if cause is None:
            return Verdict(
                "claim-holds",
                f"{claimed}; no attack within this budget leaves less than {percent(one.truth.value)} of "
                f"{one.truth.of} images at {threat} ({one.truth.interval}): the claim holds at this budget"
                + (", within the interval" if one.gap > 0 else ""),
            )
        return Verdict(
            "inconclusive",
            f"{claimed}; {left}: inconclusive, {_signs(facts, cause)}",
            cause.code,
        )
    faulty = next((doubt for doubt in facts.doubts if doubt.code == "weaker-than-one-step"), None)
    if faulty is not None and one.claim.attack is not None:
        return Verdict("overestimated", f"{claimed}; {left}: overestimated, {faulty.message}", faulty.code)
    if cause is not None and cause.code == "constant-predictor":
        return Verdict("overestimated", f"{claimed}; {left}: overestimated; {_because(facts, cause)}", cause.code)
    if one.gap > MASKING_GAP and cause is not None and cause.share >= MASKING_SHARE:
        return Verdict(
            "gradient-masking",
            f"{claimed}; {left}: gradient masking - {_because(facts, cause)}{_remedy(facts, cause)}",
            cause.code,
        )
    return Verdict("overestimated", f"{claimed}; {left}: overestimated, {_weakness(facts, one)}")


def _weakness(facts: Facts, one: Checked) -> str:
    """Why a claim is too high where nothing is masked."""
    again = one.reproduced
    if one.claim.accuracy > facts.clean.high:
        return f"clean accuracy alone is {percent(facts.clean.value)}"
    if again is not None and one.claim.accuracy - again.value > max(0.02, again.half_width):
        return f"{one.claim.title} itself leaves only {percent(again.value)} here"
    if one.by is None:
        return "the attack was too weak"
    if again is None:
        return f"the attack was too weak: {one.by} breaks most"
    return f"the attack was too weak: {one.by} breaks most of what it leaves"


def _of_model(facts: Facts, cause: Doubt | None) -> Verdict:
    robust, clean = facts.robust, f"clean accuracy {percent(facts.clean.value)}"
    if robust.hits == 0:
        sentence = (
            f"nothing survives: 0 of {robust.of} images stand against {facts.threat} ({robust.interval}; {clean})"
        )
    else:
        sentence = (
            f"no attack within this budget breaks more than {robust.of - robust.hits} of {robust.of} images: at most "
            f"{percent(robust.value)} survive {facts.threat} ({robust.interval}; {clean})"
        )
    if cause is None:
        return Verdict("no-claim", sentence)
    if cause.share < MASKING_SHARE or cause.code == "constant-predictor":
        return Verdict("inconclusive", f"{sentence}; inconclusive, {_signs(facts, cause)}", cause.code)
    deceived = "attacks that report more are deceived" if robust.hits == 0 else "the true figure may be far lower"
    return Verdict(
        "gradient-masking",
        f"{sentence}; gradient masking - {_because(facts, cause)}, {deceived}{_remedy(facts, cause)}",
        cause.code,
    )


def _signs(facts: Facts, cause: Doubt) -> str:
    if cause.code == "constant-predictor":
        return f"as {_because(facts, cause)}"
    return f"as there are signs of gradient masking - {_because(facts, cause)}"


def _because(facts: Facts, doubt: Doubt) -> str:
    return MEANINGS[doubt.code].cause + _note(facts, doubt.code, doubt)


def _note(facts: Facts, code: str, doubt: Doubt | None = None) -> str:
    """What was measured, in brackets."""
    said = facts.notes.get(code) or (None if doubt is None else SHARES.get(code, "").format(percent(doubt.share)))
    return f" ({said})" if said else ""


SHARES = {
    "loss-saturation": "zero cross-entropy gradients for {} of the images",
    "zero-gradients": "for {} of the images",
    "random-outputs": "two passes differ for {} of the images",
    "piecewise-constant": "{} of tiny moves change nothing",
    "batch-dependent": "{} of the images are answered otherwise when shown alone",
}
"""What a doubt's share is of, in words."""


def _remedy(facts: Facts, cause: Doubt) -> str:
    """What helps, tried: the adaptive attack's figure beside the oblivious ones', and what is left by attacks that the
    cause does not stop, where that is less."""
    told = ""
    helped = [one for one in facts.tried if one.code == cause.code]
    if helped:
        most = min(helped, key=lambda one: one.adaptive.hits)
        told = (
            f"; {most.what}: {percent(most.adaptive.value)} stand, where attacks that know nothing of it leave "
            f"{percent(most.oblivious.value)}"
        )
    return told + _others(facts, cause)


def _others(facts: Facts, cause: Doubt) -> str:
    """The suite's own attacks that the cause does not stop."""
    blind = cause.code == "loss-saturation"
    stopped = ("cross-entropy",) if blind else ("cross-entropy", "logits")
    bar = min((one.figure.value for one in facts.alone if one.by in stopped), default=1.0)
    told = []
    for kind in ("logits", "scores"):
        able = [one for one in facts.alone if one.by == kind and kind not in stopped and one.figure.value < bar]
        if able:
            best = min(able, key=lambda one: one.figure.value)
            told.append(f"{best.title} alone leaves {percent(best.figure.value)}")
    what = "a margin or DLR loss, or no gradients" if blind else "an attack without gradients"
    return f"; the remedy is {what}: {', '.join(told)}" if told else ""
