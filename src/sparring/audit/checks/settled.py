"""Signs that accuse nobody: what would show the harm was tried, and found no more.

A sign of the probes (saturated, rounded, no gradient) says that some attacks cannot work. It accuses only if attacks
that are immune to it find more than the figure rests on. Where those that know the way past it have run, and neither
queries nor noise nor transfer beat them, the figure is as good as without the sign, which is then a fact about the
model:

    loss-saturation, budget-not-used   margin and DLR losses ran in full and see gradients
    zero-gradients, piecewise-constant, and what follows from them (see `FOLLOW`)
                                       attacks past what hides the gradient ran, and its gradients match the model
    low-precision, misaligned-gradients    queries find nothing that gradients miss
"""

from __future__ import annotations

from torch import Tensor

from sparring.audit.checks.comparisons import beats, gradients_lead
from sparring.audit.checks.evidence import Evidence
from sparring.audit.statistics.proportion import Figure

HIDDEN = frozenset({"zero-gradients", "piecewise-constant"})
FOLLOW = HIDDEN | {
    "budget-not-used",
    "unfaithful-gradients",
    "unstable-outputs",
    "scores-leap",
    "inner-beats-answer",
    "black-box-beats-white-box",
    "noise-beats-gradient",
    "transfer-beats-white-box",
}
"signs that hidden gradients bring along"
SCALE = frozenset({"loss-saturation", "saturated-outputs"})
HARMLESS = 0.5
"of the sanity subset, see `masks`"
FAITHFUL = 0.5
"rank correlation from which gradients past what hides them are taken to match the model"


def settled(seen: Evidence, codes: frozenset[str]) -> frozenset[str]:
    """Those of the severe signs `codes` that do not put the figure in doubt."""
    white = _either(seen.on.gradient, seen.on.adaptive)
    others = [one for one in (seen.on.query, seen.on.noise, seen.on.transfer) if one is not None]
    compared = others if gradients_lead(seen) else [one for one in others if one is not seen.on.query]
    if white is None or not others or any(beats(one, white) for one in compared):
        return frozenset()
    hidden = codes & HIDDEN
    if hidden:
        found = seen.probes.rescued
        sound = seen.on.adaptive is not None and found is not None and found >= FAITHFUL
        return codes & (FOLLOW | SCALE) if sound else frozenset()
    quiet = codes & (SCALE | {"low-precision", "misaligned-gradients"})
    return quiet | (codes & {"budget-not-used"} if codes & SCALE else frozenset())


def masks(seen: Evidence) -> bool:
    """Attacks with the model's own gradients miss over half of the sanity subset that others break, and what hides
    these gradients is no picture file's rounding.

    Then the model is accused though the figure is right: whoever attacks it as it is will be deceived. Not so of a
    saturated loss alone: attacks on a margin or DLR loss are part of every suite and do not see it, to the last bit.
    """
    own, all_found = seen.on.gradient, _either(_either(seen.on.gradient, seen.on.adaptive), seen.on.query)
    if own is None or all_found is None or seen.probes.filed or not len(own):
        return False
    return int((all_found & ~own).sum()) > HARMLESS * len(own)


def deceived(seen: Evidence) -> Figure | None:
    """Images that others break and attacks on a saturated loss miss, of the sanity subset; None below the b rule.

    A fact, and no accusation by itself: the figure rests on the others. Beside a claim of such an attack's figure, the
    verdict says by how much it is too high.
    """
    blind, all_found = seen.on.blind, _either(_either(seen.on.gradient, seen.on.adaptive), seen.on.query)
    if blind is None or all_found is None:
        return None
    missed = beats(all_found, blind)
    return Figure(missed, len(blind)) if missed else None


def _either(one: Tensor | None, other: Tensor | None) -> Tensor | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other
