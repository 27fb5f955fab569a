"""How close attacks come to the best that is known: local optimality, from exact areas (AttackBench, arXiv:2404.19460).

The security curve of an attack, the share of samples that it has not broken at radius e, is a step function. The area
below it up to `e0` is mean_i min(d_i, e0), exactly; the trapezoid rule would give failures half their credit. What an
attack gains on a sample is therefore `e0 - min(d_i, e0)`, and its score is its gain over that of the envelope, which
takes the best attack for each sample.

>>> import torch
>>> measured = optimality({"strong": torch.tensor([1.0, 2.0, 4.0]), "no-op": torch.tensor([torch.inf] * 3)})
>>> measured.e0, measured.areas["strong"], measured.scores
(4.0, 2.3333333333333335, {'strong': 1.0, 'no-op': 0.0})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.errors import InputError
from sparring.result import Result


@dataclass(frozen=True)
class Optimality:
    """What `optimality` measured.

    Attributes:
        scores: for each attack, 1 = nothing known is nearer on any sample, 0 = it breaks nothing inside `e0`. NaN where
            the envelope gains nothing: all its distances are equal, or it breaks nothing. An attack that beats a
            given `reference` scores above 1.
        areas: for each attack, the area below its security curve up to `e0`; smaller is stronger.
        envelope: [N] the smallest distance of each sample. envelope_area: the area below its curve.
        e0: the smallest radius at which the envelope has broken all that can be broken.
        clean_accuracy: the share of samples that need a perturbation at all. unbroken: how many nobody breaks.
    """

    scores: dict[str, float]
    areas: dict[str, float]
    envelope: Tensor
    envelope_area: float
    e0: float
    clean_accuracy: float
    unbroken: int


def optimality(
    distances: Mapping[str, Tensor | Result], *, reference: Tensor | None = None, e0: float | None = None
) -> Optimality:
    """Score attacks on the same N samples by the smallest perturbations that they found.

    Args:
        distances: for each attack [N] distances, or its `Result`: 0 = wrong before any attack, inf = never broken.
        reference: [N] distances known from elsewhere, taken into the envelope instead of the attacks' own.
        e0: the radius up to which areas are taken; None = the largest finite distance of the envelope.

    Raises:
        InputError: no attack, different numbers of samples, or distances that are NaN or negative.
    """
    table = {name: _column(name, value) for name, value in distances.items()}
    if not table:
        raise InputError("optimality compares attacks: give at least one, as {name: distances}")
    given = None if reference is None else _column("the reference", reference)
    samples = len(next(iter(table.values())) if given is None else given)
    for name, d in table.items():
        if len(d) != samples:
            raise InputError(f"{name} has {len(d)} distances, expected {samples}: all about the same samples")
    if not samples:
        raise InputError("there are no samples to compare on")
    best = torch.stack(list(table.values())).amin(0) if given is None else given
    finite = best[best.isfinite()]
    if e0 is None:
        e0 = float(finite.max()) if len(finite) else 0.0
    right = best > 0
    most = _gain(best, right, e0)
    return Optimality(
        scores={name: _gain(d, right, e0) / most if most > 0 else float("nan") for name, d in table.items()},
        areas={name: float(d.clamp(max=e0).mean()) for name, d in table.items()},
        envelope=best,
        envelope_area=float(best.clamp(max=e0).mean()),
        e0=e0,
        clean_accuracy=float(right.double().mean()),
        unbroken=int((~best.isfinite()).sum()),
    )


def _gain(d: Tensor, right: Tensor, e0: float) -> float:
    """Summed over the samples that were right at first: a failure gains exactly nothing."""
    return float((e0 - d.clamp(max=e0))[right].sum())


def _column(name: str, value: Tensor | Result) -> Tensor:
    d = torch.as_tensor(value.distance if isinstance(value, Result) else value).detach().double().cpu()
    if d.dim() != 1:
        raise InputError(f"{name}: distances of shape {tuple(d.shape)}, expected [N], one a sample")
    bad = d[d.isnan() | (d < 0)]
    if len(bad):
        raise InputError(f"{name}: seen the distance {float(bad[0]):g}, expected 0 or more; inf means not broken")
    return d
