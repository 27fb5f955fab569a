"""What an attack found, sample by sample, and what may be said about it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.storage import finite
from sparring.threat import Threat


@dataclass(frozen=True)
class Doubt:
    """A sign that a number is not what it seems, for machines (`code`) and people (`message`).

    Attributes:
        code: short and stable, like "zero-gradients". share: of the samples that show it. message: one sentence.
    """

    code: str
    message: str
    share: float = 1.0

    def to_dict(self) -> dict[str, Any]:
        return {"code": self.code, "share": self.share, "message": self.message}


@dataclass(frozen=True)
class Trace:
    """What the referee saw at each judged point of a run, in order: T looks at N samples, NaN where one was absent.

    Attributes:
        margin: [T, N], > 0 = fooled. distance: [T, N], inf for points off the box or the region.
        query: [T, N] the forward passes spent by then.
    """

    margin: Tensor
    distance: Tensor
    query: Tensor


@dataclass(frozen=True)
class Result:
    """The outcome for each of N samples, on the CPU.

    Attributes:
        x_adv: [N, ...] the best point: the smallest successful perturbation, else the one nearest to success.
        success: [N] bool, fooled inside the threat; samples that the model gets wrong anyway count as fooled.
        distance: [N] the size of the smallest successful perturbation; 0 = wrong before any attack, inf = not fooled.
        margin: [N] the goal's margin at x_adv, > 0 <=> success (NaN where the model only says the class).
        clean_correct: [N] bool, right on the clean image.
        queries, gradients: [N] int64, forward and backward passes that the sample took part in.
        first_hit: [N] int64, queries spent when it was fooled first; -1 = never.
        threat, attack, seed, seconds, doubts, trace: what was done, how long it took, what to doubt, the path.
    """

    x_adv: Tensor
    success: Tensor
    distance: Tensor
    margin: Tensor
    clean_correct: Tensor
    queries: Tensor
    gradients: Tensor
    first_hit: Tensor
    threat: Threat
    attack: str
    seed: int
    seconds: float
    doubts: tuple[Doubt, ...] = ()
    trace: Trace | None = None

    def __len__(self) -> int:
        return len(self.success)

    @property
    def clean_accuracy(self) -> float:
        """Right on the clean image, of all."""
        return _share(self.clean_correct)

    def robust_accuracy(self, eps: float | None = None) -> float:
        """Not fooled within `eps` (default: the threat's), of all samples: clean errors count as broken."""
        if eps is None:
            return _share(~self.success & self.clean_correct)
        if self.threat.eps is not None and eps > self.threat.eps * (1 + 1e-9):
            raise InputError(f"the attack searched up to eps {self.threat.eps:g}; nothing is known about eps {eps:g}")
        return _share((self.distance > eps * (1 + 1e-5)) & self.clean_correct)

    def curve(self, epsilons: Iterable[float]) -> list[float]:
        """Robust accuracy at each eps. Free for a minimum-norm attack; an upper bound below a fixed eps."""
        return [self.robust_accuracy(float(eps)) for eps in epsilons]

    @property
    def attack_success_rate(self) -> float:
        """Fooled by the attack, of those that were right on the clean image."""
        return _share(self.success[self.clean_correct])

    @property
    def median_distance(self) -> float:
        """Median size of the perturbations that fooled a sample which was right before; NaN if there are none."""
        found = self.distance[self.success & self.clean_correct]
        return float(found.median()) if len(found) else float("nan")

    def __str__(self) -> str:
        n = len(self)
        doubts = f"; {len(self.doubts)} doubts: {', '.join(d.code for d in self.doubts)}" if self.doubts else ""
        if not n:
            return f"{self.attack} at {self.threat}: no samples"
        return (
            f"{self.attack} at {self.threat}: clean {self.clean_accuracy:.1%}, robust {self.robust_accuracy():.1%} "
            f"of {n}; {int((self.success & self.clean_correct).sum())} of {int(self.clean_correct.sum())} fooled, "
            f"median distance {self.median_distance:.4g}, {_mean(self.queries):.0f} queries and "
            f"{_mean(self.gradients):.0f} gradients a sample{doubts}"
        )

    def summary(self) -> dict[str, Any]:
        """The figures, with their denominators, as plain values."""
        return {
            "attack": self.attack,
            "threat": self.threat.to_dict(),
            "seed": self.seed,
            "n": len(self),
            "clean_accuracy": self.clean_accuracy,
            "robust_accuracy": self.robust_accuracy(),
            "attack_success_rate": self.attack_success_rate,
            "initially_correct": int(self.clean_correct.sum()),
            "median_distance": self.median_distance,
            "queries_per_sample": _mean(self.queries),
            "gradients_per_sample": _mean(self.gradients),
            "passes": int(self.queries.sum() + self.gradients.sum()),
            "seconds": self.seconds,
            "doubts": [doubt.to_dict() for doubt in self.doubts],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One plain dict a sample, without the image."""
        names = ("success", "distance", "margin", "clean_correct", "queries", "gradients", "first_hit")
        columns = [getattr(self, name).tolist() for name in names]
        return [{"index": i, **dict(zip(names, row, strict=True))} for i, row in enumerate(zip(*columns, strict=True))]

    def to_json(self) -> str:
        """Figures and per-sample rows as strict JSON (infinite or unknown numbers become null)."""
        return json.dumps(finite({**self.summary(), "samples": self.rows()}), indent=1)


PER_SAMPLE = ("x_adv", "success", "distance", "margin", "clean_correct", "queries", "gradients", "first_hit")


def concat(results: Sequence[Result]) -> Result:
    """Results of one attack on consecutive batches as one. Doubts of the same code are joined by their share."""
    if not results:
        raise InputError("there are no results to join")
    joined: dict[str, Any] = {name: torch.cat([getattr(result, name) for result in results]) for name in PER_SAMPLE}
    total = max(1, sum(len(result) for result in results))
    doubts: dict[str, Doubt] = {}
    for result in results:
        for doubt in result.doubts:
            share = doubt.share * len(result) / total
            before = doubts.get(doubt.code)
            doubts[doubt.code] = replace(doubt, share=share + (before.share if before else 0.0))
    seconds = sum(result.seconds for result in results)
    return replace(results[0], **joined, seconds=seconds, doubts=tuple(doubts.values()), trace=None)


def worst_case(*results: Result) -> Result:
    """The best attack for each sample: fooled if any fooled it, at the smallest distance; passes add up.

    The results must be about the same samples, in the same order, under the same norm.
    """
    if not results:
        raise InputError("worst_case needs at least one result")
    first = results[0]
    if any(len(result) != len(first) or result.threat.norm != first.threat.norm for result in results):
        raise InputError("worst_case needs results about the same samples under the same norm")
    distance = torch.stack([result.distance.double() for result in results])
    margin = torch.stack([result.margin.double().nan_to_num(nan=-torch.inf) for result in results])
    nearest, strongest = distance.argmin(0), margin.argmax(0)
    winner = torch.where(distance.amin(0).isfinite(), nearest, strongest)
    at = torch.arange(len(first))
    picked: dict[str, Any] = {
        name: torch.stack([getattr(result, name) for result in results])[winner, at]
        for name in ("x_adv", "success", "distance", "margin", "first_hit")
    }
    return replace(
        first,
        **picked,
        queries=torch.stack([result.queries for result in results]).sum(0),
        gradients=torch.stack([result.gradients for result in results]).sum(0),
        attack=" + ".join(result.attack for result in results),
        seconds=sum(result.seconds for result in results),
        doubts=tuple({d.code: d for result in results for d in result.doubts}.values()),
        trace=None,
    )


def _share(flags: Tensor) -> float:
    return float(flags.double().mean()) if len(flags) else float("nan")


def _mean(counts: Tensor) -> float:
    return float(counts.double().mean()) if len(counts) else float("nan")
