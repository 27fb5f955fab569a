"""Run the checks: the doubts, and what is in order."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.audit.checks import (
    attackers,
    certificates,
    claims,
    comparisons,
    convergence,
    curve,
    gradients,
    model,
    successes,
)
from sparring.audit.checks.evidence import Evidence
from sparring.audit.checks.registry import CHECKS, Check, Skipped, causes
from sparring.audit.probes.probe import Probes
from sparring.result import Doubt

THEMES = (claims, attackers, model, gradients, comparisons, successes, convergence, curve, certificates)
"importing them has filled the register; this is its order, whichever of them was imported first"
_PLACE = {theme.__name__: k for k, theme in enumerate(THEMES)}
for _code in sorted(CHECKS, key=lambda code: _PLACE.get(CHECKS[code].find.__module__, len(THEMES))):
    CHECKS[_code] = CHECKS.pop(_code)


@dataclass(frozen=True)
class Checked:
    """What the checks say.

    Attributes:
        doubts: all that was found, severe signs first. in_order: the statements of checks that found nothing.
        notes: what was measured about a sign, in a few words for the verdict, by code.
    """

    doubts: tuple[Doubt, ...]
    in_order: tuple[str, ...]
    notes: dict[str, str]

    def without(self, codes: frozenset[str]) -> Checked:
        """With the doubts of these codes as facts: attacks that they cannot stop find no more than the others."""
        facts = (f"{CHECKS[one.code].title}, but attacks that this does not stop find no more" for one in self.doubts
                 if one.code in codes)  # fmt: skip
        left = tuple(one for one in self.doubts if one.code not in codes)
        return Checked(left, (*self.in_order, *facts), self.notes) if codes else self


def run_checks(seen: Evidence) -> Checked:
    """All checks."""
    rank = {code: k for k, code in enumerate(causes())}
    doubts: list[Doubt] = []
    fine: list[tuple[str, str]] = []
    for one in CHECKS.values():
        outcome = one.run(seen)
        if isinstance(outcome, Skipped):
            continue
        doubts += outcome
        if not outcome and (said := one.in_order(seen)):
            fine.append((one.code, said))
    doubts += successes.reported(seen)
    notes = {code: said for code, one in CHECKS.items() if one.note is not None and (said := one.note(seen))}
    return Checked(
        tuple(sorted(doubts, key=lambda doubt: rank.get(doubt.code, len(rank)))),
        tuple(said for _, said in sorted(fine, key=lambda one: rank.get(one[0], len(rank)))),
        notes,
    )


def early_doubts(probes: Probes, classes: int) -> tuple[Doubt, ...]:
    """What the probes alone show, before any attack has run."""
    seen = Evidence(probes, classes)
    outcomes = [one.run(seen) for one in CHECKS.values() if one.early]
    return tuple(doubt for outcome in outcomes if not isinstance(outcome, Skipped) for doubt in outcome)


def known(code: str) -> Check:
    """The check behind a code; a plain one for what an attack of somebody's own reports."""
    if code in CHECKS:
        return CHECKS[code]
    title = code.replace("-", " ").capitalize()
    return Check(code, title, "An attack reported this.", "Read its message.", lambda seen: None)
