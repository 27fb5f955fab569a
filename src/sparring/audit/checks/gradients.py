"""Checks of the gradients, and of the surface that they belong to."""

from __future__ import annotations

from dataclasses import replace

from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import CHECKS, LEAST, Found, Outcome, Skipped, check
from sparring.audit.probes.gradient_quality import BAD
from sparring.audit.probes.probe import saturated
from sparring.audit.statistics.proportion import percent

LEAP = 0.05
"of the clean margin: 256 levels a pixel make steps of up to 3 %"
NO_GRADIENTS = Skipped("the model grants no gradients")
NOT_PROBED = Skipped("the neighbourhood of the images was not probed")


def _all_but(share: float, text: str) -> str:
    """`text` with a share that is below the threshold and still not 0; nothing where it is 0."""
    return text.format(percent(share)) if share > 0 else ""


def _saturation_note(seen: Evidence) -> str | None:
    probes = seen.probes
    if probes.flat_ce is None or probes.moved is None:
        return None
    return (
        f"zero cross-entropy gradients for {percent(probes.flat_ce)} of the images, median margin {probes.gap:.3g}, "
        f"FGSM moved {percent(probes.moved)} of them"
    )


@check(
    "loss-saturation",
    severe=True,
    title="The loss is saturated",
    cause="the softmax is saturated",
    means="The softmax is so sure of itself that cross-entropy rounds to 0 and its gradient to exactly 0. Attacks that "
    "climb this loss do not move. The logits below the softmax can still be attacked.",
    remedy="Attack the logits with a margin or DLR loss (`pgd:loss=margin`, `apgd-dlr`), or divide the logits by their "
    "scale. `square` needs no gradients.",
    fine=lambda seen: (
        _all_but(seen.probes.flat_ce or 0.0, "The gradient of the cross-entropy loss is zero for only {} of the images")
        or "The cross-entropy loss is not saturated"
    ),
    measured="zero cross-entropy gradients for {} of the images",
    note=_saturation_note,
    early=True,
    imprecise=True,
)
def loss_saturation(seen: Evidence) -> Outcome:
    """Cross-entropy gradients are exactly zero for over 1 point more images than those of the margin (at least 3
    images), or the median margin is above 100."""
    if not seen.gradients:
        return NO_GRADIENTS
    if not saturated(seen.probes):
        return None
    ce, margin = seen.probes.flat_ce or 0.0, seen.probes.flat_margin or 0.0
    return Found(
        f"the cross-entropy gradient is exactly zero for {percent(ce)} of {seen.probes.n} images, the margin's "
        f"gradient for {percent(margin)}; the median margin is {seen.probes.gap:.4g}",
        max(ce, seen.probes.certain),
    )


@check(
    "saturated-outputs",
    title="Logits are far apart",
    means="Many probabilities are 1 to the last bit. Gradients of the cross-entropy are not zero, but parts of them "
    "are lost to rounding.",
    remedy="Prefer the margin and DLR losses.",
    early=True,
    imprecise=True,
)
def saturated_outputs(seen: Evidence) -> Outcome:
    """Not saturated, but the median margin is above 16.6, or half of the images have a probability of exactly 1."""
    if not seen.gradients:
        return NO_GRADIENTS
    probes = seen.probes
    if saturated(probes) or not (probes.gap > 16.6 or probes.certain >= 0.5):
        return None
    text = f"the median margin is {probes.gap:.4g}, and {percent(probes.certain)} of {probes.n} images have a "
    return Found(text + "probability of exactly 1", probes.certain)


@check(
    "zero-gradients",
    severe=True,
    title="Gradients are zero",
    cause="the gradients are zero",
    means="The gradient with respect to the pixels is exactly zero, even for a loss on the logits. Something in the "
    "model cuts it or is flat: rounding, a step function, no_grad, a layer without a backward pass.",
    remedy="Give the layer a differentiable replacement (BPDA), or trust only attacks that need no gradients.",
    fine=lambda seen: (
        _all_but(seen.probes.flat_margin or 0.0, "The gradients of the logits are zero for only {} of the images")
        or "The gradients of the logits are not zero"
    ),
    measured="for {} of the images",
    early=True,
    imprecise=True,
)
def zero_gradients(seen: Evidence) -> Outcome:
    """The gradient is exactly zero for 5 % of the images or more, even on the logits."""
    if not seen.gradients:
        return NO_GRADIENTS
    share = seen.probes.flat_margin or 0.0
    if share < 0.05:
        return None
    why = "no gradient comes back from the logits to the pixels, so it" if seen.probes.cut else "the gradient"
    text = f"{why} is exactly zero for {percent(share)} of {seen.probes.n} images, even on the logits"
    return Found(text, share)


@check(
    "piecewise-constant",
    severe=True,
    title="The model is flat in steps",
    cause="the model rounds or encodes its input, so gradients are zero",
    means="Tiny moves of every pixel leave the logits as they were, to the last bit. The input is rounded or encoded, "
    "and a gradient through such steps is zero or meaningless.",
    remedy="Give the rounding a differentiable replacement (BPDA; the identity will do), or attack without gradients.",
    fine=lambda seen: (
        _all_but(
            seen.probes.local.constant if seen.probes.local else 0.0,
            "Only {} of tiny moves leave the logits as they were",
        )
        or "Tiny moves change the logits"
    ),
    measured="{} of tiny moves change nothing",
    early=True,
    imprecise=True,
)
def piecewise_constant(seen: Evidence) -> Outcome:
    """Over 50 % of tiny moves (1e-4 of the box in every pixel) leave the logits as they were, to the last bit."""
    local = seen.probes.local
    if local is None:
        return NOT_PROBED
    if local.constant <= 0.5:
        return None
    return Found(
        f"{percent(local.constant)} of tiny moves (1e-4 of the box in every pixel) leave the logits as they were",
        local.constant,
    )


def _faithful_note(seen: Evidence) -> str | None:
    local = seen.probes.local
    if local is None or local.faithful is None:
        return None
    return f"rank correlation {local.faithful:.2f} between gradients and differences of the loss"


@check(
    "unfaithful-gradients",
    severe=True,
    title="Gradients do not match the loss",
    cause="the gradients do not match how the loss changes",
    means="Along random directions the loss does not change as its gradient says. The backward pass does not belong to "
    "the forward pass, or the surface is too rugged for the radius.",
    remedy="Average the gradients, use finite differences or `square`, and look for a layer with its own backward "
    "pass.",
    fine="Gradients match how the loss changes",
    note=_faithful_note,
    early=True,
    imprecise=True,
)
def unfaithful_gradients(seen: Evidence) -> Outcome:
    """The median rank correlation of slopes and differences along random directions is below 0.5; or for a quarter of
    up to 12 images slopes miss the differences by over 40 % (2 to 25 % for honest nets)."""
    local = seen.probes.local
    if local is None or local.faithful is None or not seen.gradients:
        return NOT_PROBED
    if local.faithful < 0.5:
        return Found(
            f"along random directions, the median rank correlation of gradients and differences of the loss is "
            f"{local.faithful:.2f} (0.94 to 1.00 for smooth nets)",
            min(1.0, 1 - local.faithful),
        )
    if local.mistaken is None or local.mistaken <= BAD:
        return None
    return Found(
        f"for a quarter of the images or more, gradients miss the differences that they stand for by over "
        f"{percent(local.mistaken)}, at the image or at a random point of its ball (2 to 25 % for honest nets)",
        min(1.0, local.mistaken),
    )


def _leap_note(seen: Evidence) -> str | None:
    local = seen.probes.local
    if local is None or local.leap is None:
        return None
    return f"beside the border of the class the margin is still {percent(min(local.leap, 9.99))} of that on the image"


@check(
    "scores-leap",
    severe=True,
    title="The scores do not know the border",
    cause="the scores do not fall where the class changes",
    means="On the way to another class the margin does not come down to 0: it leaps across the border. The scores are "
    "not those that decide the class, so attacks that follow them are led astray.",
    remedy="Attack the scores that decide (a tensor inside the model), or ask the class alone (RayS, HopSkipJump).",
    fine="The margin comes down to 0 where the class changes",
    note=_leap_note,
    early=True,
    imprecise=True,
)
def scores_leap(seen: Evidence) -> Outcome:
    """For a quarter of up to 12 images, the margin beside the border of the class is over 5 % of that on the image."""
    local = seen.probes.local
    if local is None or local.leap is None:
        return NOT_PROBED
    if local.leap <= LEAP:
        return None
    return Found(
        f"for a quarter of the images or more, the margin just beside the border of their class is over "
        f"{percent(min(local.leap, 9.99))} of that on the image (0 for whatever is continuous)"
    )


def _aligned_note(seen: Evidence) -> str | None:
    local = seen.probes.local
    return None if local is None or local.aligned is None else f"mean cosine {local.aligned:.2f} with gradients nearby"


@check(
    "misaligned-gradients",
    severe=True,
    title="Gradients turn within the ball",
    cause="the gradient turns within the ball, so single steps go astray (catastrophic overfitting)",
    means="The gradient at an image has little in common with the gradient at a random point of its ball, so a single "
    "step goes astray. This is the mark of a net that has overfitted to single steps.",
    remedy="Use many small steps with restarts, or averaged gradients. Train with several steps or with GradAlign.",
    fine="Gradients nearby point the same way",
    note=_aligned_note,
    early=True,
)
def misaligned_gradients(seen: Evidence) -> Outcome:
    """The mean cosine of the gradients at an image and at a random point of its ball is below 0.2."""
    local = seen.probes.local
    if local is None or local.aligned is None or not seen.gradients:
        return NOT_PROBED
    if local.aligned >= 0.2:
        return None
    return Found(
        f"the gradients at an image and at a random point of its ball have a mean cosine of {local.aligned:.2f} "
        "(0.3 and more after honest adversarial training)",
        min(1.0, 1 - local.aligned),
    )


@check(
    "unstable-outputs",
    severe=True,
    title="Outputs jump",
    cause="the outputs jump within a tenth of the radius",
    means="A random move of a tenth of the radius changes the loss by more than a tenth of itself. Gradients hold for "
    "no step of useful length.",
    remedy="Use averaged gradients, smaller steps, or attacks without gradients.",
    fine="Outputs are steady",
    early=True,
    imprecise=True,
)
def unstable_outputs(seen: Evidence) -> Outcome:
    """A tenth of the way to random points of the ball changes the loss by over 10 % on average, and over 30 % of that
    change is there after a hundredth of the way (10 % for smooth nets)."""
    local = seen.probes.local
    if local is None:
        return NOT_PROBED
    if local.unstable <= 0.1 or local.jump <= 0.3:
        return None
    return Found(
        f"a tenth of the way to random points of the ball changes the loss by {percent(local.unstable)} on average; "
        f"{percent(local.jump)} of that change is there after a hundredth of the way (10 % for smooth nets)",
        local.unstable,
    )


@check(
    "budget-not-used",
    severe=True,
    title="The attack did not move",
    cause="the attack did not move the images",
    means="FGSM should go to the edge of the ball. It returned images that are unchanged or hardly changed, so the "
    "accuracy it reports is that of no attack at all.",
    remedy="Find out which gradients are zero, and use another loss.",
    fine=lambda seen: (
        _all_but(
            1 - min(seen.probes.moved or 0.0, seen.probes.filled or 0.0),
            "FGSM leaves only {} of the images short of eps",
        )
        or "Attacks use the whole budget"
    ),
    early=True,
    imprecise=True,
)
def budget_not_used(seen: Evidence) -> Outcome:
    """FGSM leaves over 1 % of the images where they were, or over 5 % short of eps (at least 3 images)."""
    probes = seen.probes
    if probes.moved is None or probes.filled is None or not probes.n:
        return NO_GRADIENTS
    still, short = 1 - probes.moved, 1 - probes.filled
    enough = LEAST - 0.5
    if not ((still > 0.01 and still * probes.n > enough) or (short > 0.05 and short * probes.n > enough)):
        return None
    return Found(
        f"FGSM did not move {percent(still)} of {probes.n} images at all, and {percent(short)} of them not as far as "
        "eps allows",
        max(still, short),
    )


@check(
    "low-precision",
    severe=True,
    title="The net computes in low precision",
    cause="the net computes in low precision, which rounds small moves and gradients away",
    means="bfloat16 keeps 8 bits of a number and half keeps 11. Small moves and small gradients are rounded away, "
    "which hinders attacks that use gradients. In float32 the same weights are attacked without trouble.",
    remedy="Audit the net in float32 (net.float()). What breaks it there nearly always breaks it here.",
    fine="The net computes precisely enough",
    note=lambda seen: seen.probes.rounded and f"{seen.probes.rounded}; in float32 the same weights show none of it",
    early=True,
)
def low_precision(seen: Evidence) -> Outcome:
    """The net computes below float32, gives a sign that low precision can give, and gives none in float32."""
    if seen.probes.rounded is None:
        return None
    unexplained = replace(seen, probes=replace(seen.probes, rounded=None))
    outcomes = {code: one.run(unexplained) for code, one in CHECKS.items() if one.imprecise}
    doubts = {code: found for code, found in outcomes.items() if found and not isinstance(found, Skipped)}
    if not doubts:
        return None
    text = f"the net computes in {seen.probes.rounded} and shows {', '.join(doubts)}; in float32 it shows none of it"
    return Found(text, max(doubt.share for found in doubts.values() for doubt in found))
