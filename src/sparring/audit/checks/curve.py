"""Checks of the security curve: accuracy must fall as eps grows, and reach chance in the end."""

from __future__ import annotations

from sparring.audit.cascade.curve import Curve
from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import LEAST, Found, Outcome, Skipped, check
from sparring.threat import eps_text

SHARE = 0.01
NO_CURVE = Skipped("no curve was drawn, or only by a single step")


def _curve(seen: Evidence) -> Curve | None:
    return None if seen.curve_family in (None, "single-step") else seen.curve


@check(
    "large-eps-survives",
    severe=True,
    title="Even huge perturbations fail",
    cause="even a perturbation as large as the image does not fool the model",
    means="With a budget that allows a grey image, or any image at all, attacks should reach chance. Yet images "
    "survive: the attack fails, not the perturbation.",
    remedy="Use another loss, BPDA, or attacks without gradients.",
    fine=lambda seen: (
        f"Huge perturbations fool the model on all but {left.hits} of {left.of} images"
        if (curve := _curve(seen)) is not None and (left := curve.points[-1].envelope).hits
        else "Huge perturbations fool the model"
    ),
)
def large_eps_survives(seen: Evidence) -> Outcome:
    """At half the box more images survive than chance explains; where any image is allowed, over 1 %; at least 3."""
    curve = _curve(seen)
    if curve is None:
        return NO_CURVE
    left = curve.points[-1].envelope
    too_many = left.value > 0.01 if curve.whole_box else left.low > 1 / seen.classes
    if not left.of or not too_many or left.hits < LEAST:
        return None
    what = "any" if curve.whole_box else "a grey"
    text = f"at eps {eps_text(curve.large)}, where {what} image is allowed, {left.hits} of {left.of} images survive"
    return Found(text, left.value)


def _rise(seen: Evidence) -> tuple[int, float, float] | None:
    """By how many images the raw curve rises at most, and between which radii."""
    curve = _curve(seen)
    if curve is None:
        return None
    rises = [
        (later.raw.hits - early.raw.hits, early.eps, later.eps)
        for i, early in enumerate(curve.points)
        for later in curve.points[i + 1 :]
    ]
    return max(rises, key=lambda one: one[0], default=(0, 0.0, 0.0))


@check(
    "not-monotone",
    title="A larger eps breaks fewer",
    means="Whatever fools at a small eps is allowed at a larger one too. Where accuracy rises, the search gets stuck.",
    remedy="Use more steps and restarts. Read the envelope, not the raw curve.",
    fine=lambda seen: (
        f"A larger eps breaks at most {rise[0]} fewer"
        if (rise := _rise(seen)) is not None and rise[0] > 0
        else "A larger eps never breaks fewer"
    ),
)
def not_monotone(seen: Evidence) -> Outcome:
    """The raw curve rises by over 1 point, and by at least 3 images, from an eps to any larger one."""
    curve, found = _curve(seen), _rise(seen)
    if curve is None or found is None:
        return NO_CURVE
    rise, low, high = found
    n = curve.points[0].raw.of
    if rise < LEAST or rise <= SHARE * n:
        return None
    return Found(f"from eps {eps_text(low)} to {eps_text(high)}, {rise} more of {n} images survive", rise / n)
