"""The verdict: one sentence from numbers and doubts, as a careful expert would put it. A pure function.

It never promises: a pass reads "no attack within this budget ...". Rules (gap = claimed - what survives everything):

    gap within max(1 point, half the interval), nothing severe      claim-holds
    the same, but a severe doubt                                    inconclusive
    gap above 5 points and a severe doubt, for 10 % of the images   gradient-masking, with its cause
    any other gap                                                   overestimated: the attack was too weak
    no claim, a severe doubt, for 10 % of the images                gradient-masking
    no claim, a severe doubt for fewer                              inconclusive
    no claim, nothing severe                                        no-claim
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sparring.audit.claims import Checked
from sparring.audit.doubts import MEANINGS, SEVERE
from sparring.audit.intervals import Figure, percent
from sparring.result import Doubt

Status = Literal["claim-holds", "overestimated", "gradient-masking", "inconclusive", "no-claim"]
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
    """

    threat: str
    clean: Figure
    robust: Figure
    claims: Sequence[Checked] = ()
    doubts: Sequence[Doubt] = ()
    alone: Sequence[Alone] = ()


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
    cause = next((doubt for doubt in severe if doubt.share >= MASKING_SHARE), severe[0] if severe else None)
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
            f"{claimed}; {left}: inconclusive, as there are signs of gradient masking - {_because(cause)}",
            cause.code,
        )
    if one.gap > MASKING_GAP and cause is not None and cause.share >= MASKING_SHARE:
        return Verdict(
            "gradient-masking",
            f"{claimed}; {left}: gradient masking - {_because(cause)}{_remedy(facts, cause)}",
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
    if cause.share < MASKING_SHARE:
        doubt = f"{sentence}; inconclusive, as there are signs of gradient masking - {_because(cause)}"
        return Verdict("inconclusive", doubt, cause.code)
    deceived = "attacks that report more are deceived" if robust.hits == 0 else "the true figure may be far lower"
    return Verdict(
        "gradient-masking",
        f"{sentence}; gradient masking - {_because(cause)}, {deceived}{_remedy(facts, cause)}",
        cause.code,
    )


def _because(doubt: Doubt) -> str:
    cause = MEANINGS[doubt.code].cause
    if doubt.code == "loss-saturation":
        return f"{cause} (zero cross-entropy gradients for {percent(doubt.share)} of the images)"
    if doubt.code == "zero-gradients":
        return f"{cause} (for {percent(doubt.share)} of the images)"
    if doubt.code == "random-outputs":
        return f"{cause} (two passes differ for {percent(doubt.share)} of the images)"
    return cause


def _remedy(facts: Facts, cause: Doubt) -> str:
    """What helps, tried: what is left by attacks that the cause does not stop, where that is less."""
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
