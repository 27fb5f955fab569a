"""Checks of what the attacks found: does it fool again, and does it survive 8 bits?"""

from __future__ import annotations

from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import CHECKS, LEAST, Found, Outcome, Skipped, check
from sparring.result import Doubt

SHARE = 0.05
NONE = Skipped("no attack fooled the model")
ELSEWHERE = ("zero-gradients", "budget-spent")
"codes of the referee that are measured more exactly by checks, or say nothing of the model"


@check(
    "rounding",
    title="Rounding to 8 bits undoes some successes",
    means="Saved as 8-bit pictures, some adversarial images fool no longer. They lie just across the boundary.",
    remedy="If the attacker can only send pictures, restrict the threat to 8-bit pixels: sp.Threat(..., levels=256) in "
    "Python.",
    fine=lambda seen: (
        f"Rounding to 8 bits undoes only {seen.undone.hits} of {seen.undone.of} successes"
        if seen.undone.hits
        else "Successes survive rounding to 8 bits"
    ),
)
def rounding(seen: Evidence) -> Outcome:
    """At least 3 successes, and 5 % of them, are right again after rounding to 8 bits."""
    undone = seen.undone
    if not undone.of:
        return NONE
    if undone.hits < LEAST or undone.value < 0.05:
        return None
    text = f"{undone.hits} of {undone.of} adversarial images are classified correctly again once saved with 8 bits"
    return Found(text, undone.value)


@check(
    "successes-not-reproduced",
    title="Successes vanish when shown again",
    means="Points that fooled the model during the search do not fool it when they are shown once more. It answers by "
    "chance, or by who else is in the batch.",
    remedy="Show images one at a time, and average over the noise.",
    fine=lambda seen: (
        f"{seen.confirmed.hits} of {seen.confirmed.of} successes fool the model again when shown once more"
        if seen.confirmed.hits < seen.confirmed.of
        else "Successes fool the model again when shown once more"
    ),
)
def successes_not_reproduced(seen: Evidence) -> Outcome:
    """At least 3 successes, and over 5 % of them, are right when they are shown once more."""
    confirmed = seen.confirmed
    if not confirmed.of:
        return NONE
    gone = confirmed.of - confirmed.hits
    if gone < LEAST or gone <= 0.05 * confirmed.of:
        return None
    text = f"{gone} of {confirmed.of} adversarial images are classified correctly when they are shown once more"
    return Found(text, gone / confirmed.of)


@check(
    "non-finite",
    severe=True,
    title="NaN or Inf on the way",
    cause="the model gives NaN or Inf for perturbed images, which stops attacks without an answer",
    means="Some perturbed images gave NaN or Inf in logits or gradients. The referee counts such a point as not "
    "fooled, so the figure only says that no wrong answer was found. An image that gets no finite answer is "
    "not classified correctly either.",
    remedy="Find the operation that overflows. If the model refuses perturbed images on purpose, give it a class for "
    "refusals and audit that.",
    measured="attacks met it on {} of their images",
    fine="No NaN or Inf on the way",
)
def non_finite(seen: Evidence) -> Outcome:
    """An attack met NaN or Inf in logits or gradients of at least 5 % of its images."""
    worst = _worst(seen).get("non-finite")
    return None if worst is None or worst.share < SHARE else Found(worst.message, worst.share)


def reported(seen: Evidence) -> list[Doubt]:
    """What attacks of somebody's own doubt, under codes that no check has."""
    return [doubt for code, doubt in _worst(seen).items() if code not in CHECKS]


def _worst(seen: Evidence) -> dict[str, Doubt]:
    """Of each doubt that the referee or an attack reported, the one with the largest share."""
    found: dict[str, Doubt] = {}
    for result in (one.result for one in seen.outcomes):
        for doubt in result.doubts:
            before = found.get(doubt.code)
            if doubt.code not in ELSEWHERE and (before is None or before.share < doubt.share):
                found[doubt.code] = Doubt(doubt.code, f"{result.attack}: {doubt.message}", doubt.share)
    return found
