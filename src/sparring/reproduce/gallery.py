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

import torch
from torch import Tensor

from sparring.attacks import attack as build
from sparring.audit.api import audit
from sparring.audit.report.report import Report
from sparring.audit.suites.builtin import SUITES
from sparring.audit.suites.stage import Stage, Suite
from sparring.batches import run_batches
from sparring.errors import OutputError
from sparring.model import Model
from sparring.reproduce.gallery_members import GALLERY, Member
from sparring.reproduce.gallery_models import Workshop
from sparring.seeds import private_rng
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
            "norm": self.member.norm,
            "eps": self.member.eps,
            "expected": {"status": self.member.status, "cause": list(self.member.cause)},
            "seen": {"status": self.status, "cause": self.cause},
            "right": self.right,
            "missing": list(self.missing),
            "claim": self.member.claim,
            "fake": self.member.fake,
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
        model, some = member.made(shop), slice(member.images)
        claimed = (
            member.figure
            if member.status == "refused" or member.claim is None
            else naive(member, model, x[some], y[some])
        )
        claims = [] if claimed is None else [f"{member.claim}={claimed}" if member.claim else claimed]
        started = time.perf_counter()
        try:
            report = audit(
                model,
                (x[some], y[some]),
                (member.norm, member.eps),
                suite=suite,
                claims=claims,
                seed=seed,
                clean_floor=member.floor,
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
    with private_rng(torch.device("cpu"), 0):  # some members draw from torch's generator
        return run_batches(made, model, (x, y), Threat(member.norm, eps), keep="last").robust_accuracy()


def find(names: Iterable[str]) -> tuple[Member, ...]:
    """Members by name, in the gallery's order."""
    wanted = set(names)
    return tuple(member for member in GALLERY if member.name in wanted)
