"""How good a trained net is: its clean accuracy, and what several attacks together leave of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.attack import attack
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.model import Model, wrap
from sparring.threat import Threat

ATTACKS = ("pgd:steps=40", "apgd-ce", "apgd-t", "square:queries=1000")
"gradients of two losses, all likely targets, and one attack without gradients: none of them trains nets here"


def clean_accuracy(model: Model | nn.Module, data: ImageData, batch_size: int = 500) -> float:
    """The fraction of the images that get their own class, in eval mode; the net is left as it was."""
    return float(_right(wrap(model), data, batch_size).double().mean())


def _right(model: Model, data: ImageData, batch_size: int) -> Tensor:
    """bool [N]: the images that get their own class."""
    with model.guard(), torch.no_grad():
        return torch.cat([model.labels(model.accept(x)).cpu() == y for x, y in data.loader(batch_size)])


def attacks_for(threat: Threat) -> tuple[str, ...]:
    """Those of `ATTACKS` that work under the threat's norm.

    Raises:
        InputError: none does, or the threat has no radius.
    """
    usable = tuple(spec for spec in ATTACKS if threat.norm in attack(spec).info.norms)
    if threat.eps is None or not usable:
        raise InputError(f"no robust accuracy can be measured for {threat}; give Linf, L2 or L1 and a radius")
    return usable


@dataclass(frozen=True)
class Leg:
    """One attack of a worst case: how many images stood before it and after it."""

    attack: str
    before: int
    after: int
    seconds: float


@dataclass(frozen=True)
class WorstCase:
    """Robust accuracy against several attacks: an image counts if none of them fools the net on it.

    Attributes:
        threat: what was allowed. images: how many were attacked. correct: of them right before any attack.
        legs: the attacks in order; each meets the images that those before it left. seed: of them.
    """

    threat: Threat
    images: int
    correct: int
    legs: tuple[Leg, ...]
    seed: int

    @property
    def accuracy(self) -> float:
        """Images that stand after all attacks, of all images."""
        return self.legs[-1].after / self.images

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "accuracy": self.accuracy,
            "images": self.images,
            "correct_before": self.correct,
            "threat": self.threat.to_dict(),
            "seed": self.seed,
            "attacks": [asdict(leg) for leg in self.legs],
        }


def measure_worst_case(
    model: Model | nn.Module,
    data: ImageData,
    threat: Threat,
    *,
    attacks: Sequence[str] | None = None,
    seed: int = 0,
    batch_size: int = 250,
    on_leg: Callable[[Leg], None] | None = None,
) -> WorstCase:
    """Attack the images with each attack in turn, always those that still stand.

    Args:
        model: a net on pixels in [0, 1]. data: at least one image. threat: with an eps.
        attacks: specs, see `sparring.attack`, cheap ones first; `attacks_for(threat)` unless given.
        on_leg: called after each attack.
    """
    model = wrap(model)
    standing = data.subset(_right(model, data, batch_size))
    correct = len(standing)
    legs: list[Leg] = []
    for spec in attacks or attacks_for(threat):
        began, search = time.perf_counter(), attack(spec)
        results = [search(model, x, y, threat, seed=seed) for x, y in standing.loader(batch_size)]
        before = len(standing)
        if results:
            standing = standing.subset(~torch.cat([result.success for result in results]))
        leg = Leg(spec, before, len(standing), round(time.perf_counter() - began, 1))
        legs.append(leg)
        if on_leg is not None:
            on_leg(leg)
    return WorstCase(threat, len(data), correct, tuple(legs), seed)
