"""Checks of the attacks themselves: can they find what is there to be found?"""

from __future__ import annotations

from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import Found, Outcome, Skipped, check

CONTROL = "control"
"the family of trials against the plain net"


@check(
    "canary-missed",
    severe=True,
    title="The attacks missed planted successes",
    cause="the attacks missed successes that were planted for them",
    means="The suite was tried on a planted classifier, on which every image can be fooled within the radius. No "
    "attack found all of these successes. So what the attacks say about the model proves nothing.",
    remedy="Give the attacks more steps or queries. Look for an attack that is broken.",
    fine="The attacks find what is planted for them",
    early=True,
)
def canary_missed(seen: Evidence) -> Outcome:
    """No attack of the suite finds all planted successes."""
    tried = [trial for trial in seen.probes.canary if trial.family != CONTROL]
    if not tried:
        return Skipped("nothing could be planted")
    if any(trial.found >= trial.of for trial in tried):
        return None
    best = max(tried, key=lambda trial: trial.found)
    text = f"the best attack, {best.attack}, found {best.found} of {best.of} planted successes"
    return Found(text, 1 - best.found / best.of)


@check(
    "attack-does-nothing",
    title="An attack does nothing",
    means="The attack found none of the planted successes. Its figure is the clean accuracy.",
    remedy="Look for a bug in the attack. Do not count it.",
    early=True,
)
def attack_does_nothing(seen: Evidence) -> Outcome:
    """An attack finds no planted success at all."""
    return [
        Found(
            f"{trial.attack} found none of {trial.of} planted successes"
            + ("" if trial.moved else "; it returned every image unchanged")
        )
        for trial in seen.probes.canary
        if trial.family != CONTROL and trial.dead
    ]


@check(
    "control-stands",
    severe=True,
    title="The control survives",
    cause="the attacks do not break a plain net that every working attack breaks",
    means="A plain digit classifier was attacked with the same suite. Every working attack breaks it at this radius, "
    "and the suite did not.",
    remedy="Use a stronger suite. Look for an attack that is broken.",
    early=True,
)
def control_stands(seen: Evidence) -> Outcome:
    """More than 2 % of the plain net's images (and at least one) survive."""
    trials = [trial for trial in seen.probes.canary if trial.family == CONTROL and trial.of]
    if not trials:
        return Skipped("the control is for digits at a usual radius")
    return [
        Found(f"{left} of {trial.of} images of the {trial.attack} survive", left / trial.of)
        for trial in trials
        if (left := trial.of - trial.found) > max(0.02 * trial.of, 0.5)
    ]
