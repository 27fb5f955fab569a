"""The other side of the number: what no attack can break, proved after all attacks, image by image.

The images that stand get the method in full; what its search breaks on the way counts as broken. The broken images get
its bounds too, without a search: they must not be proved, or the proof is wrong. For the curve, the bounds of the
method are asked at the radii of its grid.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.cascade import Cascade
from sparring.audit.cascade.transfer import Shown
from sparring.audit.suites.stage import Stage
from sparring.batches import run_batches
from sparring.certify.api import certify
from sparring.certify.methods import Method
from sparring.certify.result import Certificates
from sparring.model import Model
from sparring.threat import Threat

SEARCH = 6
"first number of the `place` of what the search for a proof breaks"
SEARCHED = Stage("Search for a proof", "transfer", "adaptive", full_on_subset=False, excluded=True)


@dataclass(frozen=True)
class Certificate:
    """What is proved of n images.

    Attributes:
        method: with its options. certified: [n] bool, at the audited radius. bound: [n] float64, a lower bound of the
            margin there, NaN for images that are wrong.
        radius: [n] float64, the largest radius that was asked about and is proved; 0 = none.
        seconds: that it took.
    """

    method: str
    certified: Tensor
    bound: Tensor
    radius: Tensor
    seconds: float

    def __add__(self, other: Certificate) -> Certificate:
        """Of these images and of others after them."""
        return Certificate(
            self.method,
            torch.cat([self.certified, other.certified]),
            torch.cat([self.bound, other.bound]),
            torch.cat([self.radius, other.radius]),
            self.seconds + other.seconds,
        )


def prove_rest(
    cascade: Cascade, model: Model, method: Method, grid: tuple[float, ...], in_curve: Tensor
) -> Certificate:
    """Prove what the attacks have left. What the search for the proof breaks is added to the cascade.

    Args:
        grid: other radii to ask about, for the images `in_curve` [m] (numbers).
    """
    began = time.perf_counter()
    clean, threat = cascade.clean, cascade.threat
    assert threat.eps is not None
    certified = torch.zeros(len(clean), dtype=torch.bool)
    bound = torch.full((len(clean),), torch.nan, dtype=torch.float64)
    standing = cascade.standing
    for rows, how in ((standing, method), (clean.correct & ~standing, method.bounds_only())):
        at = rows.nonzero().squeeze(1)
        if len(at):
            found = _certify(cascade, model, at, threat, how)
            certified[at], bound[at] = found.certified, found.bound
            if bool(found.attacked.any()):
                _take(cascade, model, at[found.attacked], found.x_adv[found.attacked])
    radius = certified.double() * threat.eps
    _along(cascade, model, method.bounds_only(), sorted({*grid, threat.eps}), radius, in_curve)
    return Certificate(method.spec, certified, bound, radius, time.perf_counter() - began)


def _certify(cascade: Cascade, model: Model, at: Tensor, threat: Threat, how: Method) -> Certificates:
    x, y = cascade.clean.x[at], cascade.clean.y[at]
    return certify(model, x, y, threat, how, seed=cascade.seed, batch_size=cascade.batch_size)


def _take(cascade: Cascade, model: Model, rows: Tensor, points: Tensor) -> None:
    """Points that the search found, judged by the referee like those of any attack."""
    x, y = cascade.clean.x[rows], cascade.clean.y[rows]
    known: dict[str, Any] = {"batch_size": cascade.batch_size, "seed": cascade.seed, "keep": "margin"}
    result = run_batches(Shown.of(x, points), model, (x, y), cascade.threat, **known)
    cascade.add(SEARCHED, rows, replace(result, attack=SEARCHED.title), (SEARCH, 0))


def _along(cascade: Cascade, model: Model, how: Method, grid: list[float], radius: Tensor, rows: Tensor) -> None:
    """Raise the proved radii [n] of the images `rows` along a grid; one that stays unproved is not asked again."""
    asked, before = torch.zeros_like(cascade.clean.correct), 0.0
    asked[rows] = cascade.clean.correct[rows]
    for eps in grid:
        at = (asked & (radius >= before) & (radius < eps)).nonzero().squeeze(1)
        if len(at) and eps != cascade.threat.eps:
            radius[at[_certify(cascade, model, at, replace(cascade.threat, eps=eps), how).certified]] = eps
        before = eps
