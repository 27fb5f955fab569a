"""Checks of what somebody claims of the model."""

from __future__ import annotations

from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import Found, Outcome, Skipped, check
from sparring.audit.inputs.claims import Checked
from sparring.audit.statistics.proportion import percent

NO_CLAIM = Skipped("nothing of the kind was claimed")


@check(
    "clean-mismatch",
    title="The claimed clean accuracy is another",
    means="On clean images the model is not as accurate as claimed. The weights, the data, the preprocessing or the "
    "mode of the model differ from those behind the claim.",
    remedy="Find the difference first. Every other claim rests on it.",
)
def clean_mismatch(seen: Evidence) -> Outcome:
    """The clean accuracy differs from its claim by more than 1 point and more than half its 95 % interval."""
    claims = [one for one in seen.claims if one.claim.clean]
    return [
        Found(f"clean accuracy was claimed as {percent(one.claim.accuracy)}; it is {one.truth}", min(1.0, abs(one.gap)))
        for one in claims
        if abs(one.gap) > one.tolerance
    ] or (None if claims else NO_CLAIM)


def _repeated(seen: Evidence) -> list[tuple[Checked, float]]:
    """Claims whose attack was run again, and by how much the claim is higher than what that gave."""
    again = [(one, one.reproduced) for one in seen.claims if not one.claim.clean]
    return [(one, one.claim.accuracy - figure.value) for one, figure in again if figure is not None]


@check(
    "claim-not-reproduced",
    title="The claimed attack gives another figure",
    means="The same attack at the same eps was run here. It leaves a share of images that differs from the claim by "
    "more than chance allows.",
    remedy="Compare the settings of both runs: steps, step size, restarts, preprocessing, data.",
)
def claim_not_reproduced(seen: Evidence) -> Outcome:
    """The repeated attack leaves a share that differs from the claim by 2 points and by half its 95 % interval."""
    again = _repeated(seen)
    return [
        Found(
            f"{one.claim.title} was claimed to leave {percent(one.claim.accuracy)}; here it leaves {one.reproduced}",
            min(1.0, abs(off)),
        )
        for one, off in again
        if _differs(one, off)
    ] or (None if again else NO_CLAIM)


@check(
    "weaker-than-one-step",
    title="The claimed iterations do less than one step",
    means="An iterative attack was claimed to leave as much as a single step of FGSM leaves here. Iterations begin "
    "with that step. So one gradient was used for all steps, or the attack has a bug.",
    remedy="Take a new gradient in every step. Compare the attack with sparring's `bim` or `pgd`.",
)
def weaker_than_one_step(seen: Evidence) -> Outcome:
    """The claim about an iterative attack is too high, and not below what one FGSM step leaves here."""
    again = [(one, off) for one, off in _repeated(seen) if one.claim.iterative and one.single is not None]
    found = []
    for one, off in again:
        assert one.reproduced is not None
        assert one.single is not None
        if _differs(one, off) and one.too_high and one.claim.accuracy >= one.single:
            found.append(
                Found(
                    f"{one.claim.title} was claimed to leave {percent(one.claim.accuracy)}; one step of FGSM leaves "
                    f"{percent(one.single)} of the images here, and real iterations leave "
                    f"{percent(one.reproduced.value)}",
                    min(1.0, abs(off)),
                )
            )
    return found or (None if again else NO_CLAIM)


def _differs(one: Checked, off: float) -> bool:
    return one.reproduced is not None and abs(off) > max(0.02, one.reproduced.half_width)
