"""The audit's own regression suite: honest and broken defenses, each with the verdict that is known to be right.

Every claim is measured here, by the attack that its authors would have used, in the way they would have used it: so a
broken member's claim is what a careless evaluation of this very model gives. The audit must see through it, name the
cause, and leave the honest ones alone.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from sparring.attack import attack as build
from sparring.audit.report import Report
from sparring.audit.run import audit
from sparring.audit.suites import SUITES, Stage, Suite
from sparring.batches import run_batches
from sparring.errors import OutputError
from sparring.model import Model, wrap
from sparring.norms import Linf
from sparring.reproduce.gallery_models import BUILDERS, Workshop
from sparring.threat import Threat

PART = 0.9
"of eps, along one gradient: what the report's notebook calls I-FGSM"


SHORTENED = replace(
    SUITES["quick"],
    name="quick, shortened",
    stages=(
        *(stage for stage in SUITES["quick"].stages if stage.family != "query"),
        Stage("Square", "square:queries=300", "query"),
    ),
    receipt=False,
)


@dataclass(frozen=True)
class Member:
    """A model with a known verdict.

    Attributes:
        name: among `BUILDERS`. about: why the verdict is known.
        status, cause: what the audit must say; several causes where each would be right. "refused": it must refuse.
        eps: the audited radius, Linf.
        claim: the attack behind the claim, None = nothing is claimed. fake: it was made with one gradient, re-used.
        figure: the claim itself, where it is published and not measured here.
        signs: doubts that must be there, whatever the cause.
        honest: must never be accused. trained: needs training first. floor: the least clean accuracy to audit.
        model: of the builders', where it is another's.
    """

    name: str
    about: str
    status: str
    cause: tuple[str | None, ...] = (None,)
    eps: float = 0.3
    claim: str | None = None
    fake: bool = False
    figure: float | None = None
    signs: tuple[str, ...] = ()
    honest: bool = False
    trained: bool = False
    floor: float | None = None
    model: str | None = None

    def __str__(self) -> str:
        return self.name

    def made(self, shop: Workshop) -> Model:
        """The model itself."""
        return wrap(BUILDERS[self.model or self.name](shop))


MASKED = "gradient-masking"
GALLERY: tuple[Member, ...] = (
    Member("plain", "ordinary training; nothing is claimed", "no-claim", honest=True),
    Member("pgd", "PGD adversarial training, with its own card's figure", "claim-holds", figure=0.885, honest=True),
    Member("fast", "honest training, claimed by a weak attack", "overestimated", claim="fgsm", honest=True),
    Member(
        "hot, train mode",
        "the report's distilled net as published: dropout on, softmax saturated",
        MASKED,
        ("loss-saturation",),
        claim="fgsm",
        signs=("train-mode", "random-outputs"),
        trained=True,
    ),
    Member(
        "hot, eval mode",
        "the same in eval mode",
        MASKED,
        ("loss-saturation",),
        claim="fgsm",
        signs=("budget-not-used",),
        trained=True,
    ),
    Member("distilled", "defensive distillation at T = 100", MASKED, ("loss-saturation",), claim="fgsm", trained=True),
    Member("logits x 10,000", "a plain net, its logits scaled up", MASKED, ("loss-saturation",), claim="pgd"),
    Member(
        "zero backward", "a plain net behind a layer that gives no gradient", MASKED, ("zero-gradients",), claim="pgd"
    ),
    Member("rounding layer", "a plain net behind 4 grey levels", MASKED, ("piecewise-constant",), claim="pgd"),
    Member("1 bit", "a plain net behind 1-bit pixels", MASKED, ("piecewise-constant",), claim="pgd"),
    Member("JPEG", "a plain net behind JPEG's rounding", MASKED, ("piecewise-constant", "zero-gradients"), claim="pgd"),
    Member("random resize", "a plain net behind random resizing and padding", MASKED, ("random-outputs",), 0.1, "fgsm"),
    Member(
        "dropout on",
        "a plain net with dropout left on",
        MASKED,
        ("random-outputs",),
        0.2,
        "fgsm",
        signs=("train-mode",),
        trained=True,
    ),
    Member(
        "batch norm, train mode",
        "a plain net whose images are normalised by each other",
        MASKED,
        ("batch-dependent",),
        0.1,
        "fgsm",
        signs=("train-mode",),
        trained=True,
    ),
    Member(
        "overfitted to one step",
        "FGSM training that overfitted catastrophically",
        MASKED,
        ("misaligned-gradients",),
        claim="fgsm",
        trained=True,
    ),
    Member("softmax output", "probabilities sold as logits", "refused"),
    Member("softmax output, said", "probabilities, and told so", "overestimated", claim="fgsm", eps=0.1),
    Member(
        "fake iterations",
        'a plain net claimed by an "I-FGSM" that re-uses one gradient',
        "overestimated",
        ("weaker-than-one-step",),
        0.1,
        "bim:steps=10",
        fake=True,
        model="plain",
    ),
    Member("constant", "one class for every image", "inconclusive", ("constant-predictor",), floor=0.0),
)


@dataclass(frozen=True)
class Row:
    """What the audit said of a member.

    Attributes:
        member: with the right answer. status, cause, verdict: seen. claimed: what was claimed, None = nothing.
        report: None where the audit refused. seconds: of the audit alone.
    """

    member: Member
    status: str
    cause: str | None
    verdict: str
    claimed: float | None
    report: Report | None
    seconds: float

    @property
    def missing(self) -> tuple[str, ...]:
        """Doubts that should be there and are not."""
        found = {doubt.code for doubt in self.report.doubts} if self.report else set()
        return tuple(code for code in self.member.signs if code not in found)

    @property
    def right(self) -> bool:
        """Verdict, cause and signs are the known ones."""
        return self.status == self.member.status and self.cause in self.member.cause and not self.missing

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        report = self.report
        return {
            "model": self.member.name,
            "about": self.member.about,
            "eps": self.member.eps,
            "expected": {"status": self.member.status, "cause": list(self.member.cause)},
            "seen": {"status": self.status, "cause": self.cause},
            "right": self.right,
            "missing": list(self.missing),
            "claim": self.member.claim,
            "claimed": self.claimed,
            "clean_accuracy": None if report is None else report.clean_accuracy,
            "robust_accuracy": None if report is None else report.robust_accuracy,
            "doubts": [] if report is None else [doubt.code for doubt in report.doubts],
            "passes": None if report is None else report.passes,
            "seconds": self.seconds,
            "verdict": self.verdict,
        }


def run(
    members: Iterable[Member],
    shop: Workshop,
    x: Tensor,
    y: Tensor,
    *,
    suite: str | Suite | None = None,
    seed: int = 0,
    say: Callable[[str], object] = str,
) -> Iterator[Row]:
    """Make each member, measure its claim, audit it, and hold the verdict against the known one.

    `suite`: quick with fewer queries and without its receipt, unless given.
    """
    suite = SHORTENED if suite is None else suite
    for member in members:
        say(member.name)
        model = member.made(shop)
        claimed = member.figure if member.status == "refused" or member.claim is None else naive(member, model, x, y)
        claims = [] if claimed is None else [f"{member.claim}={claimed}" if member.claim else claimed]
        started = time.perf_counter()
        try:
            report = audit(
                model, (x, y), (Linf, member.eps), suite=suite, claims=claims, seed=seed, clean_floor=member.floor
            )
        except OutputError as error:
            yield Row(member, "refused", None, str(error), claimed, None, time.perf_counter() - started)
            continue
        seconds = time.perf_counter() - started
        yield Row(member, report.status, report.cause, report.verdict, claimed, report, seconds)


def naive(member: Member, model: Model, x: Tensor, y: Tensor) -> float:
    """The robust accuracy that the claimed attack gives, in one pass, taken at its word."""
    assert member.claim is not None
    made, eps = (build("fgsm"), PART * member.eps) if member.fake else (build(member.claim), member.eps)
    return run_batches(made, model, (x, y), Threat(Linf, eps), keep="last").robust_accuracy()


def find(names: Iterable[str]) -> tuple[Member, ...]:
    """Members by name, in the gallery's order."""
    wanted = set(names)
    return tuple(member for member in GALLERY if member.name in wanted)
