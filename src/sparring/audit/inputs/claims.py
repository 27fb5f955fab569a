"""Claims: what somebody says the model withstands, to be held against what it does."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from sparring.attack import Attack
from sparring.attacks import attack as build
from sparring.audit.statistics.proportion import Figure, percent
from sparring.audit.suites.stage import Stage
from sparring.errors import InputError
from sparring.referee import Keep
from sparring.shares import parse_share
from sparring.threat import eps_text, parse_eps

Answer = Literal["holds", "too-high", "too-few", "differs"]
NARROW = 0.1
"half of a 95 % interval above which images are too few to say that a claim holds"


@dataclass(frozen=True)
class Claim:
    """A robust accuracy that was claimed.

    Args:
        accuracy: the share that is said to survive, in [0, 1].
        eps: at this radius; None = the audit's. 0 = on clean images.
        attack: against this attack, as a spec; None = against any.
    """

    accuracy: float
    eps: float | None = None
    attack: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.accuracy <= 1:
            raise InputError(f"the claimed accuracy is {self.accuracy}; give a share from 0 to 1, or a percentage")
        if self.eps is not None and not 0 <= self.eps < float("inf"):
            raise InputError(f"the claim's eps is {self.eps}; it must be a finite number >= 0")
        if self.attack is not None:
            build(self.attack)  # refuses what is not known

    @property
    def clean(self) -> bool:
        """It is about images without any perturbation."""
        return self.eps == 0

    @property
    def keep(self) -> Keep:
        """Which point counts when the attack is repeated as claimed: the last one, for those that make a single run
        and hand over where it ended; the best for all others."""
        assert self.attack is not None
        made = build(self.attack)
        fields = made.settings()
        single = fields.get("restarts", 1) == 1 and "targets" not in fields
        return "last" if single and made.info.sees == "gradient" and made.info.aim == "budget" else "best"

    @property
    def stage(self) -> Stage:
        """The claimed attack, to be run as it was."""
        assert self.attack is not None
        return Stage(f"{self.title}, as claimed", self.attack, "iterative", full_on_subset=False, excluded=True)

    @property
    def iterative(self) -> bool:
        """Its attack takes more than one step along gradients."""
        if self.attack is None:
            return False
        made = build(self.attack)
        return made.info.sees == "gradient" and int(made.settings().get("steps") or 1) > 1

    @property
    def title(self) -> str | None:
        """The attack's name for people."""
        if self.attack is None:
            return None
        made = build(self.attack)
        _, colon, fields = made.spec.partition(":")
        return made.info.title + (f" ({fields})" if colon else "")

    @property
    def spec(self) -> str:
        """As text that `parse_claim` understands."""
        place = ":".join(([self.attack] if self.attack else []) + ([] if self.eps is None else [_spec_eps(self.eps)]))
        return f"{place}={self.accuracy:.6g}" if place else f"{self.accuracy:.6g}"

    def __str__(self) -> str:
        where = "" if self.eps is None else f" at eps {eps_text(self.eps)}"
        return f"{percent(self.accuracy)}{f' under {self.title}' if self.attack else ''}{where}"


def _spec_eps(eps: float) -> str:
    """A radius that is read again as the same, as near as six digits."""
    short = eps_text(eps)
    return short if parse_eps(short) == eps else f"{eps:.6g}"


def parse_claim(text: str | float | Claim) -> Claim:
    """A claim from text: "fgsm:0.3=0.88", "0.3=0.88", "fgsm=88%", "0.88"; "0=0.99" or "clean=0.99" on clean images.

    >>> parse_claim("pgd:steps=40:8/255=45.5%")
    Claim(accuracy=0.455, eps=0.03137254901960784, attack='pgd:steps=40')
    """
    if isinstance(text, Claim):
        return text
    head, _, share = str(text).strip().rpartition("=")
    if _number(share.strip().removesuffix("%")) is None:
        raise InputError(f"the claim {text!r} is not understood; write ATTACK:EPS=ACCURACY, as in fgsm:0.3=0.88")
    accuracy = parse_share(share, f"the accuracy in the claim {str(text)!r}")
    head = head.strip()
    if not head:
        return Claim(accuracy)
    if head == "clean":
        return Claim(accuracy, 0.0)
    attack, _, last = head.rpartition(":")
    eps = _number(last)
    if eps is None:
        return Claim(accuracy, None, head)
    return Claim(accuracy, eps, attack.strip() or None)


def _number(text: str) -> float | None:
    try:
        return parse_eps(text.strip())
    except InputError:
        return None


@dataclass(frozen=True)
class Checked:
    """A claim beside what was found.

    Attributes:
        claim: what was claimed. eps: the radius it is about. truth: at most this much survives, over all attacks.
        by: the attack that made the difference. reproduced: what the claimed attack leaves here, on all images.
        moved: the share of correct images that the claimed attack moved at all, where its last point is known.
        single: what one step of FGSM leaves here, of all images, where it ran.
    """

    claim: Claim
    eps: float
    truth: Figure
    by: str | None = None
    reproduced: Figure | None = None
    moved: float | None = None
    single: float | None = None

    @property
    def too_high(self) -> bool:
        """The same attack, run here, leaves less than claimed: by 2 points, or half the interval."""
        again = self.reproduced
        return again is not None and self.claim.accuracy - again.value > max(0.02, again.half_width)

    @property
    def gap(self) -> float:
        """By how much the claim is too high."""
        return self.claim.accuracy - self.truth.value

    @property
    def tolerance(self) -> float:
        """A gap of this size proves nothing: a point, or half the interval."""
        return max(0.01, self.truth.half_width)

    @property
    def answer(self) -> Answer:
        """What is to be said of this claim by itself.

        too-high: the gap is above the tolerance. holds: it is not. Either is said where the interval is narrow enough
        (half of it is at most `NARROW`), or has the claim outside. too-few: it is too wide for that. A claim about
        clean accuracy can also be too low: differs.
        """
        narrow = self.truth.half_width <= NARROW
        if self.claim.clean and abs(self.gap) > self.tolerance:
            return "differs"
        if self.gap > self.tolerance:
            return "too-high" if narrow or self.claim.accuracy > self.truth.high else "too-few"
        settled = narrow or self.claim.accuracy <= self.truth.low
        return "holds" if settled else "too-few"

    def contradicts(self, other: Checked) -> bool:
        """Both are about the same attack at the same radius, and at most one of them can be right."""
        same = self._made == other._made and math.isclose(self.eps, other.eps, rel_tol=1e-6)
        return same and abs(self.claim.accuracy - other.claim.accuracy) > max(self.tolerance, other.tolerance)

    @property
    def _made(self) -> Attack | None:
        """The attack with all its fields, however it was written; none of a claim about clean images."""
        return None if self.claim.attack is None or self.claim.clean else build(self.claim.attack)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "claimed": self.claim.accuracy,
            "attack": self.claim.attack,
            "eps": self.eps,
            "reproduced": None if self.reproduced is None else self.reproduced.to_dict(),
            "moved": self.moved,
            "truth": self.truth.to_dict(),
            "by": self.by,
            "gap": self.gap,
            "answer": self.answer,
            "holds": self.answer == "holds",
        }
