"""Requirements: what a model must reach, as `--require "robust@0.3 >= 85%"`, and whether that is settled.

A share counted on a few images proves little: 170 of 200 is as good as certain to be somewhere from 77 to 92 %. So a
requirement is `met` only when the whole interval lies at or above the limit, `failed` when all of it lies below, and
`not settled` in between. The interval holds at all moments at once (see `sequence`), so an audit may stop as soon as
everything is settled, without a price in certainty. As always, "robust" means: against the attacks of this budget. A
suite without one real search (FGSM alone) cannot bear a requirement: it is never met then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from sparring.audit.statistics.proportion import Figure, percent
from sparring.audit.statistics.sequential import ALPHA, interval, near, needed
from sparring.audit.suites.stage import Stage
from sparring.errors import InputError
from sparring.shares import parse_share
from sparring.threat import eps_text, parse_eps

Metric = Literal["robust", "clean"]
Status = Literal["met", "failed", "not settled"]

LEAST_PASSES = {"iterative": 20, "adaptive": 20, "query": 100}
"forward and backward passes an image, by the family of an attack, from which on it counts as a search"
FORM = re.compile(r"\s*(robust|clean)\s*(?:@\s*([^<>=≥@]+?)\s*)?(?:>=|≥)\s*([0-9.eE+-]+)\s*(%?)\s*")


@dataclass(frozen=True)
class Requirement:
    """A limit for one figure.

    Args:
        metric: "robust" or "clean" accuracy. least: the smallest share that will do, in [0, 1].
        eps: the radius that it is about; None = the audit's, or none for clean accuracy.
        counted: judge by the share of these very images, as --fail-under does, not by what it says about all.
    """

    metric: Metric
    least: float
    eps: float | None = None
    counted: bool = False

    def __str__(self) -> str:
        where = "" if self.eps is None else f"@{eps_text(self.eps)}"
        return f"{self.metric}{where} >= {self.least * 100:g} %" + (", of these images" if self.counted else "")

    def at(self, eps: float) -> Requirement:
        """The same for an audit at `eps`.

        Raises:
            InputError: it is about another radius.
        """
        if self.metric == "clean" or self.eps is None:
            return self if self.metric == "clean" else replace(self, eps=eps)
        if abs(self.eps - eps) > 1e-9 * max(self.eps, eps):
            raise InputError(
                f"the requirement {str(self)!r} is about eps {eps_text(self.eps)}, the audit about eps "
                f"{eps_text(eps)}; give both the same, or leave it away: robust >= ..."
            )
        return replace(self, eps=eps)


def parse_requirement(text: str | Requirement) -> Requirement:
    """A requirement from text.

    >>> print(parse_requirement("robust@8/255 >= 45%"), parse_requirement("clean >= 0.97"), sep="; ")
    robust@8/255 >= 45 %; clean >= 97 %

    Raises:
        InputError: it is not understood.
    """
    if isinstance(text, Requirement):
        return text
    found = FORM.fullmatch(text)
    if found is None:
        raise InputError(
            f"the requirement {text!r} is not understood; write robust@EPS >= SHARE or clean >= SHARE, "
            "as in robust@0.3 >= 85%"
        )
    metric, radius, share, sign = found.groups()
    least = parse_share(share + sign, f"the limit in the requirement {text!r}")
    if metric == "clean":
        if radius is not None:
            raise InputError(f"the requirement {text!r} gives clean accuracy an eps; write clean >= SHARE")
        return Requirement("clean", least)
    eps = parse_eps(radius)
    if eps is not None and not 0 < eps < float("inf"):
        raise InputError(f"the requirement {text!r} is about eps {eps:g}; a radius above 0 is needed")
    return Requirement("robust", least, eps)


@dataclass(frozen=True)
class Judged:
    """A requirement beside what was counted.

    Attributes:
        figure: what was counted. low, high: the interval that decides; the share itself where only it is asked for.
        more: about how many more images would settle it; None = it is settled, or no number is likely to.
        weak: why these attacks cannot bear it; None = they can.
    """

    requirement: Requirement
    figure: Figure
    low: float
    high: float
    status: Status
    more: int | None = None
    weak: str | None = None

    @property
    def met(self) -> bool:
        return self.status == "met"

    def __str__(self) -> str:
        """One line: what is required, what was counted, what that means."""
        seen = f"{percent(self.figure.value)} ({self.figure.hits} of {self.figure.of}"
        if self.requirement.counted:
            return f"required {self.requirement}: {seen}), {self.conclusion}"
        sure = f"{seen}; any-time 95 % interval {self.low * 100:.1f} to {self.high * 100:.1f} %)"
        return f"required {self.requirement}: {sure}, {self.conclusion}"

    @property
    def conclusion(self) -> str:
        """The status in words."""
        if self.weak is not None:
            return f"not settled: {self.weak}"
        if self.requirement.counted:
            return "met" if self.met else "not met"
        if self.status != "not settled":
            return self.status
        text = f"not settled with {self.figure.of} images: "
        if self.more is None:
            return text + "the share is too near the limit for any number of images"
        return text + f"needs about {rounded(self.more):,} more"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "text": str(self.requirement),
            "metric": self.requirement.metric,
            "eps": self.requirement.eps,
            "least": self.requirement.least,
            "counted": self.requirement.counted,
            "status": self.status,
            **self.figure.to_dict(),
            "low": self.low,
            "high": self.high,
            "confidence": None if self.requirement.counted else 1 - ALPHA,
            "more": self.more,
            "line": str(self),
            "conclusion": self.conclusion,
        }


def too_weak(attacks: Iterable[tuple[str, str]]) -> str | None:
    """Why attacks, (family, spec) each, cannot bear a requirement on robust accuracy; None if they can.

    >>> too_weak([("single-step", "fgsm")])
    'no attack searched: at least 10 steps with gradients, or 100 queries, are needed'
    >>> too_weak([("single-step", "fgsm"), ("iterative", "pgd:steps=10")])
    """
    for family, spec in attacks:
        if family in LEAST_PASSES and Stage("", spec, "iterative").most_passes(2) >= LEAST_PASSES[family]:
            return None
    return "no attack searched: at least 10 steps with gradients, or 100 queries, are needed"


def judge(requirement: Requirement, figure: Figure, weak: str | None = None) -> Judged:
    """Whether `figure` settles the requirement, and how. `weak`: see `too_weak`.

    >>> judge(parse_requirement("clean >= 90%"), Figure(199, 200)).status
    'met'
    """
    least, share = requirement.least, figure.value
    found = _judge(requirement, figure, least, share)
    if weak is None or requirement.metric == "clean" or found.status == "failed":
        return found
    return replace(found, status="not settled", more=None, weak=weak)


def _judge(requirement: Requirement, figure: Figure, least: float, share: float) -> Judged:
    if requirement.counted:
        return Judged(requirement, figure, share, share, "met" if share >= least else "failed")
    prior = near(least)
    low, high = interval(figure.hits, figure.of, prior)
    if low >= least:
        return Judged(requirement, figure, low, high, "met")
    if high < least:
        return Judged(requirement, figure, low, high, "failed")
    return Judged(requirement, figure, low, high, "not settled", needed(figure.hits, figure.of, least, prior))


def rounded(count: int) -> int:
    """Two digits are enough for an estimate; rounded up.

    >>> rounded(1234), rounded(7)
    (1300, 7)
    """
    step: int = 10 ** max(0, len(str(count)) - 2)
    return -(-count // step) * step
