"""What the model itself says of every stored point of a run, also of those not called a success."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.cascade.majority_vote import looks, votes
from sparring.audit.probes.asked import in_company
from sparring.errors import InputError
from sparring.model import Model
from sparring.threat import Threat, Untargeted, eps_text

SLACK = 1e-5
"of eps: forgiven to rounding, as by the referee"
GRID_SLACK = 1e-3
"of the distance of two levels: the same"
CLOSE = 1e-3
"of the largest logit: answers that differ by less are the same, on another processor for instance"
UNSURE = 0.15
"of the images: so many may be answered otherwise by the vote of a model that answers at random"
DECIDED = math.log(2)
"of votes: a wrong class has more than twice those of the right one"


@dataclass(frozen=True)
class Radius:
    """The breaks at one radius: how many the run claims, and of these, how many fool the model here, and how many lie
    in the ball and the box. `hidden`: stored points that fool, though the run does not call them a success."""

    eps: float
    claimed: int
    fooled: int
    inside: int
    proved: int
    hidden: int = 0

    @property
    def holds(self) -> bool:
        return self.proved == self.claimed and not self.hidden

    def __add__(self, other: Radius) -> Radius:
        """Of these images and of others."""
        return Radius(
            self.eps,
            self.claimed + other.claimed,
            self.fooled + other.fooled,
            self.inside + other.inside,
            self.proved + other.proved,
            self.hidden + other.hidden,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**self.__dict__, "holds": self.holds}


class Witness:
    """The model as it is asked here: once, or by the vote of `draws` fresh looks if it answers at random."""

    def __init__(self, model: Model, draws: int, seed: int, classes: int, batch_size: int) -> None:
        self.model = model
        self.draws = draws
        self.seed = seed
        self.classes = classes
        self.batch_size = batch_size

    def in_company(self, x: Tensor) -> Witness | None:
        """The same of a model that is asked for one image at a time, asked in batches after some of the images
        x [n, ...]; None for other models."""
        company = in_company(self.model, x)
        if company is self.model:
            return None
        return Witness(company, self.draws, self.seed, self.classes, self.batch_size)

    def logits(self, z: Tensor) -> Tensor:
        """[n, K] logits for points [n, ...], on the CPU; votes for a random model, one-hot where it gives classes."""
        if not len(z):
            return torch.zeros(0, self.classes)
        y = torch.zeros(len(z), dtype=torch.int64)
        if self.draws:
            return votes(looks(self.model, z, y, self.draws, self.seed, self.batch_size), self.classes)
        with self.model.guard(), torch.no_grad():
            parts = [self._once(self.model.accept(batch)) for batch in torch.split(z, self.batch_size)]
        return torch.cat(parts)

    def _once(self, z: Tensor) -> Tensor:
        if self.model.access == "decision":
            return torch.nn.functional.one_hot(self.model.labels(z).cpu().clamp(min=0), self.classes).float()
        return self.model.logits(z).cpu()


def points_at(
    witness: Witness, threat: Threat, eps: float, k: int, tensors: Mapping[str, Tensor], x: Tensor, y: Tensor
) -> tuple[Radius, list[str]]:
    """The stored points of a shard at its k-th radius, shown to the model; and what is wrong beyond these counts."""
    assert threat.box is not None
    low, high = threat.box
    z, success, correct = (tensors[f"worst/{k}/{name}"] for name in ("x_adv", "success", "clean_correct"))
    if z.shape != x.shape:
        raise InputError(
            f"the run is about images of shape {tuple(z.shape[1:])}, here they are {tuple(x.shape[1:])}; "
            "give it the same data"
        )
    shown = z.nan_to_num(low).clamp(low, high)  # what lies elsewhere is not inside anyway
    logits = witness.logits(shown)
    margin = Untargeted(y).margin(logits)
    inside = allowed(z, x, threat, eps)
    fooled = logits.argmax(1) != y
    claimed = success & correct
    company = witness.in_company(x)
    if company is not None:  # what fools in a batch counts, too
        fooled |= claimed & (company.logits(shown).argmax(1) != y)
    slack = CLOSE * logits.abs().amax().clamp(min=1.0) if len(logits) else 0.0
    hidden = fooled & inside & correct & ~success & (margin > slack)
    proved = claimed & fooled & inside
    if witness.draws:  # a vote that is close may fall otherwise here
        missing = int(claimed.sum()) - int(proved.sum())
        if missing <= max(1.0, UNSURE * int(claimed.sum())) and bool(inside[claimed].all()):
            proved = claimed
        hidden = hidden & (margin > DECIDED)
        hidden = hidden & bool(hidden.sum() > max(1.0, UNSURE * len(hidden)))
    radius = Radius(eps, *(int(rows.sum()) for rows in (claimed, claimed & fooled, claimed & inside, proved, hidden)))
    findings = []
    size = threat.norm.size((z - x).double())
    stored = tensors[f"worst/{k}/distance"].double()
    off = claimed & ((stored - size).abs() > 1e-4 * size.clamp(min=1e-6))
    if bool(off.any()):
        findings.append(f"at eps {eps_text(eps)}, {int(off.sum())} stored distances are not those of the stored points")
    lost = ~claimed & correct & stored.isfinite()
    if bool(lost.any()):
        findings.append(f"at eps {eps_text(eps)}, {int(lost.sum())} images have a distance but no success")
    return radius, findings


def allowed(z: Tensor, x: Tensor, threat: Threat, eps: float) -> Tensor:
    """bool [n]: points [n, ...] that lie in the box, the ball, the region and the grid around images x [n, ...]."""
    assert threat.box is not None
    low, high = threat.box
    flat = z.flatten(1)
    inside = (threat.norm.size(z - x) <= eps * (1 + SLACK)) & (flat >= low).all(1) & (flat <= high).all(1)
    mask = threat.mask(x)
    if mask is not None:
        inside &= ((z == x) | mask).flatten(1).all(1)
    if threat.levels is not None:
        step = (flat - low) * ((threat.levels - 1) / (high - low))
        inside &= ((step - step.round()).abs() <= GRID_SLACK).all(1)
    return inside
