"""What was proved, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.certify.binomial import interval
from sparring.errors import InputError
from sparring.threat import Threat

STATUS = ("wrong", "attacked", "certified", "unknown")


@dataclass(frozen=True)
class Certificates:
    """The outcome for each of N images, on the CPU.

    Attributes:
        certified: [N] bool, right on the clean image, and no point inside the threat changes that.
        bound: [N] float64, a lower bound of the margin (true logit minus the largest other) over the whole threat;
            for smoothing the certified radius in the threat's norm, 0 = abstained or wrong.
        margin: [N] float64, the smallest margin that was seen anywhere in the threat: an upper bound of the same;
            NaN for smoothing.
        clean_correct: [N] bool. attacked: [N] bool, an adversarial example inside the threat was found on the way.
        x_adv: [N, ...] the point where `margin` was seen: an adversarial example where attacked, else mostly the image.
        seconds: [N] the time that was spent, a batch shared evenly.
        threat, method, seed: what was done; the method with its options.
    """

    certified: Tensor
    bound: Tensor
    margin: Tensor
    clean_correct: Tensor
    attacked: Tensor
    x_adv: Tensor
    seconds: Tensor
    threat: Threat
    method: str
    seed: int

    def __len__(self) -> int:
        return len(self.certified)

    @property
    def clean_accuracy(self) -> float:
        """Right on the clean image, of all."""
        return _share(self.clean_correct)

    @property
    def certified_accuracy(self) -> float:
        """Certified, of all: a lower bound of the robust accuracy on these images."""
        return _share(self.certified)

    @property
    def interval(self) -> tuple[float, float]:
        """The exact (Clopper-Pearson) 95 % interval of the certified accuracy, for images drawn like these."""
        return interval(int(self.certified.sum()), len(self), 0.95)

    @property
    def upper(self) -> float:
        """Not known to be wrong anywhere in the threat, of all: an upper bound of the robust accuracy here."""
        return _share(self.clean_correct & ~self.attacked)

    @property
    def gap(self) -> Tensor:
        """[N] how far apart the two bounds of the margin are where neither side is settled; 0 elsewhere."""
        open_ = self.clean_correct & ~self.attacked & ~self.certified
        return torch.where(open_, self.margin - self.bound, 0.0)

    @property
    def status(self) -> list[str]:
        """[N] "wrong" on the clean image, "attacked", "certified" or "unknown"."""
        known = torch.full((len(self),), 3)
        known[self.certified] = 2
        known[self.attacked] = 1
        known[~self.clean_correct] = 0
        return [STATUS[int(k)] for k in known]

    def __str__(self) -> str:
        low, high = self.interval
        return (
            f"{self.method} at {self.threat}: clean {self.clean_accuracy:.1%}, certified {self.certified_accuracy:.1%} "
            f"of {len(self)} (95 % interval {low:.1%} to {high:.1%}), at most {self.upper:.1%} robust"
        )

    def summary(self) -> dict[str, Any]:
        """The figures as plain values for JSON."""
        low, high = self.interval
        status = self.status
        return {
            "method": self.method,
            "threat": self.threat.to_dict(),
            "n": len(self),
            "seed": self.seed,
            "clean_accuracy": self.clean_accuracy,
            "certified_accuracy": self.certified_accuracy,
            "certified_interval": [low, high],
            "upper_bound": self.upper,
            "counts": {name: status.count(name) for name in STATUS},
            "seconds": float(self.seconds.sum()),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Plain values of each image, for JSON."""
        return [
            {
                "index": i,
                "status": status,
                "certified": bool(self.certified[i]),
                "bound": _plain(self.bound[i]),
                "margin": _plain(self.margin[i]),
                "seconds": float(self.seconds[i]),
            }
            for i, status in enumerate(self.status)
        ]


PER_IMAGE = ("certified", "bound", "margin", "clean_correct", "attacked", "x_adv", "seconds")


def joined(parts: Sequence[Certificates]) -> Certificates:
    """Certificates of one method for consecutive batches as one."""
    if not parts:
        raise InputError("there are no images to certify")
    values: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in PER_IMAGE}
    return replace(parts[0], **values)


def _share(flags: Tensor) -> float:
    return float(flags.double().mean()) if len(flags) else float("nan")


def _plain(value: Tensor) -> float | None:
    number = float(value)
    return number if abs(number) < float("inf") else None
