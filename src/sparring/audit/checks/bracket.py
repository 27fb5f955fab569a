"""Both sides of the number: what is proved, and what attacks have left. The words for verdicts and reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.checks.evidence import Evidence
from sparring.audit.statistics.proportion import Figure, percent


@dataclass(frozen=True)
class Bracket:
    """The truth on these images lies between `proved` and `robust`.

    Attributes:
        method: that proved. proved: images that no attack can break, of all. robust: images that nothing has broken.
        threat: as text. eps: its radius. refuted: images that are proved and broken: then nothing of it holds.
        seconds: that the proof took.
    """

    method: str
    proved: Figure
    robust: Figure
    threat: str
    eps: float
    refuted: int = 0
    seconds: float = 0.0

    @property
    def closed(self) -> bool:
        """Every image is broken, wrong or proved."""
        return self.open == 0 and not self.refuted

    @property
    def open(self) -> int:
        """Images that are neither broken nor proved."""
        return self.robust.hits - self.proved.hits

    def __str__(self) -> str:
        """ "between 93.0 and 95.0 %"."""
        return f"between {self.proved.value * 100:.1f} and {percent(self.robust.value)}"

    @property
    def sentence(self) -> str:
        """What was proved, with its counts."""
        counted = f"{self.proved.hits} of {self.proved.of} images"
        if self.closed:
            return f"Every image is settled: {self.method} proves that no attack can break {counted} at {self.threat}."
        left = f"{self.open} {'is' if self.open == 1 else 'are'} neither broken nor proved"
        return f"{self.method} proves that no attack can break {counted} at {self.threat}; {left}."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "method": self.method,
            "lower": self.proved.value,
            "upper": self.robust.value,
            "proved": self.proved.hits,
            "open": self.open,
            "refuted": self.refuted,
            "closed": self.closed,
            "seconds": self.seconds,
            "said": self.sentence,
        }


def refuted(seen: Evidence, radii: Tensor) -> Tensor:
    """[N] bool: right, and broken inside its certified radius by any attack at any radius."""
    assert seen.worst is not None
    return seen.worst.clean_correct & (nearest(seen) <= radii)


def nearest(seen: Evidence) -> Tensor:
    """[N] the smallest success; inf = none."""
    assert seen.worst is not None
    nearest = torch.where(seen.worst.success, seen.worst.distance.double(), torch.inf)
    if seen.curve is not None:
        rows = torch.tensor(seen.curve.rows, dtype=torch.int64)
        nearest[rows] = torch.minimum(nearest[rows], nearest.new_tensor(seen.curve.nearest))
    return nearest
