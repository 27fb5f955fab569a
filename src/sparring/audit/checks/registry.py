"""The register of checks. A check is one object: what it looks for, its threshold, its text and its remedy together.

A check is a function from `Evidence` to what it found. Its docstring states the criterion, with numbers:

    @check("zero-gradients", severe=True, title="Gradients are zero", means="...", remedy="...", cause="...")
    def zero_gradients(seen: Evidence) -> Outcome:
        '''The gradient is exactly zero for 5 % of the images or more, even on the logits.'''

What it finds is a doubt. A check that ran and found nothing is in order. The docs table is made from this register.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sparring.audit.checks.evidence import Evidence
from sparring.errors import InputError
from sparring.result import Doubt

WEAK = "weak-suite"
"the code of the doubt that only requirements raise"
LEAST = 3
"images that must show a sign before it counts"


class Found(NamedTuple):
    """What a check found: a sentence with its counts, and the share of the images that show it."""

    message: str
    share: float = 1.0


class Skipped(NamedTuple):
    """Why a check could not run."""

    reason: str


Outcome = Found | Sequence[Found] | Skipped | None
"""None, or no `Found` at all: the check ran and everything is in order."""
Find = Callable[[Evidence], Outcome]
Note = Callable[[Evidence], str | None]


@dataclass(frozen=True)
class Check:
    """One check.

    Attributes:
        code: for programs. title: a few words. means: what the sign means. remedy: what to do about it.
        find: the measurement held against its threshold.
        severe: the sign can make a model look robust that is not; the verdict then names it as the cause.
        cause: for severe ones, a clause that follows "because". fine: what is true where nothing is found; a function
            where that depends on the counts: below the threshold is not nothing.
        measured: for the verdict, with {} for the share. note: for the verdict, where a share says too little.
        early: it needs nothing but the probes, so it runs before any attack, and adaptive attacks answer it.
        imprecise: low precision alone can give this sign; where it does, `low-precision` says so instead.
    """

    code: str
    title: str
    means: str
    remedy: str
    find: Find
    severe: bool = False
    cause: str = ""
    fine: str | Note = ""
    measured: str = ""
    note: Note | None = None
    early: bool = False
    imprecise: bool = False

    def in_order(self, seen: Evidence) -> str | None:
        """What is true of a model where the check has found nothing."""
        return (self.fine if isinstance(self.fine, str) else self.fine(seen)) or None

    @property
    def criterion(self) -> str:
        """The threshold, in words: the docstring of the check."""
        return " ".join((self.find.__doc__ or "").split())

    def run(self, seen: Evidence) -> tuple[Doubt, ...] | Skipped:
        """The doubts found, none where all is in order; or why the check could not run."""
        if self.imprecise and seen.probes.rounded is not None:
            return Skipped("the net's low precision explains it")
        outcome = self.find(seen)
        if isinstance(outcome, Skipped):
            return outcome
        found = [] if outcome is None else [outcome] if isinstance(outcome, Found) else outcome
        return tuple(Doubt(self.code, one.message, one.share) for one in found)


CHECKS: dict[str, Check] = {}
"""All checks by code, in the order in which they run and in which their doubts are listed."""

CAUSES = (
    "canary-missed",
    "control-stands",
    "constant-predictor",
    "low-precision",
    "non-finite",
    "remembers-questions",
    "batch-dependent",
    "loss-saturation",
    "piecewise-constant",
    "zero-gradients",
    "random-outputs",
    "black-box-beats-white-box",
    "noise-beats-gradient",
    "single-step-beats-iterative",
    "climbs-go-astray",
    "large-eps-survives",
    "budget-not-used",
    "unfaithful-gradients",
    "misaligned-gradients",
    "unstable-outputs",
    "transfer-beats-white-box",
    "scores-leap",
    "inner-beats-answer",
    "weak-suite",
)
"""The severe codes of this package, the most telling first: the verdict names the first that was found."""


def causes() -> tuple[str, ...]:
    """The codes of all severe checks, the most telling first; those of plugins last."""
    return (*CAUSES, *(code for code, one in CHECKS.items() if one.severe and code not in CAUSES))


def check(
    code: str,
    *,
    title: str,
    means: str,
    remedy: str,
    severe: bool = False,
    cause: str = "",
    fine: str | Note = "",
    measured: str = "",
    note: Note | None = None,
    early: bool = False,
    imprecise: bool = False,
) -> Callable[[Find], Find]:
    """Decorator: puts a check into the register. Arguments: see `Check`."""

    def enter(find: Find) -> Find:
        if code in CHECKS:
            raise InputError(f"two checks are called {code!r}; give one another name")
        if severe != (code in CAUSES) and find.__module__.startswith("sparring."):
            raise ValueError(f"{code!r} is severe, so it needs its place in CAUSES, or the other way round")
        CHECKS[code] = Check(code, title, means, remedy, find, severe, cause, fine, measured, note, early, imprecise)
        return find

    return enter
