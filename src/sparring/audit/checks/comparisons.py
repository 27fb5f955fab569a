"""From what attacks did to doubts: pure functions of numbers, each with its criterion. (From probes: `signs`.)

The b rule: an attack beats others when it breaks at least 3 images of the sanity subset, and more than 1 % of it,
that the others do not break.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from torch import Tensor

from sparring.audit.statistics.proportion import Figure
from sparring.result import Doubt, Result

LEAST, SHARE = 3, 0.01


def beats(one: Tensor, others: Tensor) -> int:
    """Images broken by `one` [s] and not by `others` [s], 0 unless the b rule is met."""
    only = int((one & ~others).sum())
    return only if only >= LEAST and only > SHARE * len(one) else 0


@dataclass(frozen=True)
class OnSubset:
    """Who broke which image of the sanity subset, [s] bool each; None = no such attack ran."""

    single: Tensor | None
    climbing: Tensor | None
    "iterative attacks on the same, blind, loss"
    gradient: Tensor | None
    "all attacks that see gradients"
    query: Tensor | None
    noise: Tensor | None
    transfer: Tensor | None = None
    "examples made for another net"


def comparisons(on: OnSubset) -> Iterable[Doubt]:
    """C1, C2 and C3: attacks in an order that makes no sense."""
    pairs = [
        (
            "single-step-beats-iterative",
            on.single,
            on.climbing,
            "one step breaks {} of {} images that iterations do not",
        ),
        (
            "black-box-beats-white-box",
            on.query,
            on.gradient,
            "queries alone break {} of {} images that gradients do not",
        ),
        ("noise-beats-gradient", on.noise, on.gradient, "random noise breaks {} of {} images that gradients do not"),
        (
            "transfer-beats-white-box",
            on.transfer,
            on.gradient,
            "examples made for another net break {} of {} images that gradients of this one do not",
        ),
    ]
    for code, one, others, text in pairs:
        if one is None or others is None:
            continue
        only = beats(one, others)
        if only:
            yield Doubt(code, text.format(only, len(one)), only / len(one))


def monotone(raw: Sequence[Figure], epsilons: Sequence[float]) -> Iterable[Doubt]:
    """C4: the raw curve rises by over a point, and by at least 3 images, from an eps to any larger one."""
    worst = 0
    where = (0.0, 0.0)
    for i, early in enumerate(raw):
        for j in range(i + 1, len(raw)):
            if raw[j].hits - early.hits > worst:
                worst, where = raw[j].hits - early.hits, (epsilons[i], epsilons[j])
    if worst >= LEAST and worst > SHARE * raw[0].of:
        yield Doubt(
            "not-monotone",
            f"from eps {where[0]:.4g} to {where[1]:.4g} the share that survives rises by {worst} of {raw[0].of} images",
            worst / raw[0].of,
        )


def unbounded(large: Figure, whole_box: bool, classes: int, eps: float) -> Iterable[Doubt]:
    """C5: at half the box more than chance survives; with the whole box more than 1 %; at least 3 images anyway."""
    if large.of and (large.value > 0.01 if whole_box else large.low > 1 / classes) and large.hits >= LEAST:
        yield Doubt(
            "large-eps-survives",
            f"at eps {eps:.4g}, where {'any' if whole_box else 'a grey'} image is allowed, {large.hits} of {large.of} "
            "images survive",
            large.value,
        )


def rounding(undone: Figure) -> Iterable[Doubt]:
    """At least 3 successes, and 5 % of them, are gone after rounding to 8 bits."""
    if undone.of and undone.hits >= LEAST and undone.value >= 0.05:
        yield Doubt(
            "rounding",
            f"{undone.hits} of {undone.of} adversarial images are classified correctly again once saved with 8 bits",
            undone.value,
        )


def reproduced(confirmed: Figure) -> Iterable[Doubt]:
    """C8: at least 3 points that fooled in a search, and 5 % of them, do not when they are shown once more."""
    gone = confirmed.of - confirmed.hits
    if gone >= LEAST and gone > 0.05 * confirmed.of:
        yield Doubt(
            "successes-not-reproduced",
            f"{gone} of {confirmed.of} adversarial images are classified correctly when they are shown once more",
            gone / confirmed.of,
        )


def diversity(families: set[str]) -> Iterable[Doubt]:
    """Only attacks with gradients ran, or only ones without; noise is not counted."""
    if "query" not in families:
        yield Doubt("few-attacks", "only attacks that see gradients ran; nothing would tell if these mislead")
    elif families <= {"query", "noise"}:
        yield Doubt("few-attacks", "only attacks without gradients ran")


def reported(results: Iterable[Result]) -> Iterable[Doubt]:
    """What the referee or the attacks themselves doubt, less what is checked here more exactly."""
    found: dict[str, Doubt] = {}
    for result in results:
        for doubt in result.doubts:
            known = found.get(doubt.code)
            if doubt.code not in ("zero-gradients", "budget-spent") and (known is None or known.share < doubt.share):
                found[doubt.code] = Doubt(doubt.code, f"{result.attack}: {doubt.message}", doubt.share)
    yield from found.values()
