"""From what was probed to doubts: pure functions of numbers, each with its criterion, before any attack has run.

Names like P8, G4 and C11 are those of the plan of checks in the documentation of the audit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sparring.audit.probes.canary import Trial
from sparring.audit.probes.probe import Probes, saturated
from sparring.audit.statistics.proportion import percent
from sparring.result import Doubt

ROUNDING = frozenset(
    {
        "loss-saturation",
        "saturated-outputs",
        "zero-gradients",
        "piecewise-constant",
        "unfaithful-gradients",
        "unstable-outputs",
        "budget-not-used",
    }
)
"signs that low precision alone can give"
LEAST = 3
"images that must show a sign"


def of_probes(probes: Probes, classes: int) -> list[Doubt]:
    """All doubts about the model itself, and about the attacks where they were tried on what was planted."""
    return [
        *planted(probes.canary),
        *behaviour(probes, classes),
        *rounding(probes, [*gradients(probes), *neighbourhood(probes), *budget_used(probes)]),
    ]


def rounding(probes: Probes, found: list[Doubt]) -> Iterable[Doubt]:
    """Signs that are gone where the same weights compute in float32: one doubt that names the precision instead."""
    due = [doubt for doubt in found if doubt.code in ROUNDING] if probes.rounded is not None else []
    yield from (doubt for doubt in found if doubt not in due)
    if due:
        yield Doubt(
            "low-precision",
            f"the net computes in {probes.rounded}: {', '.join(doubt.code for doubt in due)}; in float32 the same "
            "weights show none of it",
            max(doubt.share for doubt in due),
        )


def behaviour(probes: Probes, classes: int) -> Iterable[Doubt]:
    """P0 to P6, P9 and P10: train mode, randomness, images that are not answered alone, optimisation inside, another
    range of pixels, probabilities, twins, few classes, a predictor that says nearly always the same."""
    if probes.training:
        names = ", ".join(probes.training[:3]) + (", ..." if len(probes.training) > 3 else "")
        how = "and stayed so, as it was wrapped with mode='as_is'" if probes.active else "the audit put it in eval mode"
        if probes.in_eval is not None:
            right, standing = probes.in_eval
            how += f"; in eval mode {percent(right.value)} are right and {percent(standing.value)} stand against PGD"
        yield Doubt("train-mode", f"the model came in train mode: {names}; {how}")
    conduct = probes.conduct
    if probes.changed > 0:
        again = "; from the same seed they agree" if conduct is not None and conduct.seedable else ""
        yield Doubt(
            "random-outputs",
            f"two passes over the same images differ for {percent(probes.changed)} of them{again}",
            probes.changed,
        )
    if conduct is not None and (conduct.crowded or 0) > 0:
        yield Doubt(
            "batch-dependent",
            f"{percent(conduct.crowded or 0)} of the images are answered otherwise when they are shown alone",
            conduct.crowded or 0,
        )
    if conduct is not None and conduct.dynamic:
        yield Doubt("dynamic-inference", "the model asks for gradients while it answers")
    if conduct is not None and conduct.scale is not None:
        yield Doubt("wrong-range", f"{conduct.scale}, more often than on the pixels that it was given")
    if probes.renamed is not None:
        yield Doubt(
            "label-order",
            f"with its classes renamed the model would be right on {percent(probes.renamed)}: their order may differ "
            "between the model and the data",
            probes.renamed,
        )
    if probes.outputs != "logits":
        yield Doubt(
            "probabilities", f"the model gives {probes.outputs.replace('_', '-')}; their logarithm was attacked"
        )
    if probes.twins:
        yield Doubt("duplicate-images", f"{probes.twins} of the first images appear more than once")
    if classes <= 3:
        yield Doubt("few-classes", f"the model has {classes} classes, too few for some losses")
    if probes.top_share > 0.5 and probes.top_truth <= 0.5:
        yield Doubt(
            "constant-predictor",
            f"{percent(probes.top_share)} of the predictions are class {probes.top}, but {percent(probes.top_truth)} "
            "of the labels",
            probes.top_share,
        )


def gradients(probes: Probes) -> Iterable[Doubt]:
    """P3, G1 to G3: zero gradients (5 % of the images), and whether the loss is to blame (1 point more than on the
    logits, or logits 100 apart); logits that are only far apart (16.6, or half the images sure to the last bit)."""
    ce, margin = probes.flat_ce, probes.flat_margin
    if ce is None or margin is None or not probes.n:
        return
    if saturated(probes):
        yield Doubt(
            "loss-saturation",
            f"the cross-entropy gradient is exactly zero for {percent(ce)} of {probes.n} images, the gradient of the "
            f"margin for {percent(margin)}; the median margin is {probes.gap:.4g}",
            max(ce, probes.certain),
        )
    elif probes.gap > 16.6 or probes.certain >= 0.5:
        yield Doubt(
            "saturated-outputs",
            f"the median margin is {probes.gap:.4g}, and {percent(probes.certain)} of the images have a probability of "
            "exactly 1",
            probes.certain,
        )
    if margin >= 0.05:
        where = "there is no way back from the logits to the pixels: " if probes.cut else ""
        yield Doubt(
            "zero-gradients",
            f"{where}the gradient is exactly zero for {percent(margin)} of {probes.n} images, even on the logits",
            margin,
        )


def neighbourhood(probes: Probes) -> Iterable[Doubt]:
    """P8, G4, G5 and G6: flat steps, gradients that do not tell the truth, that turn, outputs that jump."""
    local = probes.local
    if local is None:
        return
    if local.constant > 0.5:
        yield Doubt(
            "piecewise-constant",
            f"{percent(local.constant)} of tiny moves (1e-4 of the box in every pixel) leave the logits as they were, "
            "to the last bit",
            local.constant,
        )
    if local.faithful is not None and local.faithful < 0.5:
        yield Doubt(
            "unfaithful-gradients",
            f"along random directions, slopes and differences of the loss rank alike by only {local.faithful:.2f} "
            "(median; 0.94 to 1.00 for smooth nets)",
            min(1.0, 1 - local.faithful),
        )
    if local.aligned is not None and local.aligned < 0.2:
        yield Doubt(
            "misaligned-gradients",
            f"the gradient at an image and at a random point of its ball have a mean cosine of {local.aligned:.2f} "
            "(0.3 and more after honest adversarial training)",
            min(1.0, 1 - local.aligned),
        )
    if local.unstable > 0.1 and local.jump > 0.3:
        yield Doubt(
            "unstable-outputs",
            f"a tenth of the way to random points of the ball the loss changes by {percent(local.unstable)} on "
            f"average, and {percent(local.jump)} of that is there after a hundredth (10 % for smooth nets)",
            local.unstable,
        )


def budget_used(probes: Probes) -> Iterable[Doubt]:
    """C9: FGSM left over 1 % of the images where they were, or over 5 % short of eps."""
    if probes.moved is None or probes.filled is None or not probes.n:
        return
    still, short = 1 - probes.moved, 1 - probes.filled
    if (still > 0.01 and still * probes.n > LEAST - 0.5) or (short > 0.05 and short * probes.n > LEAST - 0.5):
        yield Doubt(
            "budget-not-used",
            f"FGSM did not move {percent(still)} of {probes.n} images at all, and {percent(short)} not as far as "
            "eps allows",
            max(still, short),
        )


def planted(trials: Sequence[Trial]) -> Iterable[Doubt]:
    """The canary and C11. An attack that finds nothing of what was planted is named; if all of them together missed
    it, or the control stands (over 2 %), no figure can be trusted."""
    for trial in trials:
        if trial.family == "control":
            left = trial.of - trial.found
            if trial.of and left > max(0.02 * trial.of, 0.5):
                yield Doubt(
                    "control-stands", f"{left} of {trial.of} images of the {trial.attack} stand", left / trial.of
                )
        elif trial.dead:
            what = "handed back every image untouched" if not trial.moved else "found none of them"
            yield Doubt("attack-does-nothing", f"of {trial.of} planted successes, {trial.attack} {what}")
    tried = [trial for trial in trials if trial.family != "control"]
    if tried and all(trial.found < trial.of for trial in tried):
        best = max(tried, key=lambda trial: trial.found)
        yield Doubt(
            "canary-missed",
            f"of {best.of} planted successes the best attack, {best.attack}, found only {best.found}",
            1 - best.found / best.of,
        )
