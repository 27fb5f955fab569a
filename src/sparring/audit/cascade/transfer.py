"""Transfer: examples made for another net, shown to the model. They should never beat attacks that see the model.

The other net is the classifier of a defended model, without its stages, else the plain net that
comes with the package, where the images are digits. Two attacks are taken to their end there (PGD on the margin,
MI-FGSM), so that the points are sure of themselves: a transfer that only just fools one net fools no other. Papernot,
McDaniel and Goodfellow 2016, arXiv:1605.07277; as a sign of misleading gradients: Carlini et al. 2019,
arXiv:1902.06705. Passes of the other net are not the model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

import torch
from torch import Tensor

from sparring.attack import Attack, register
from sparring.attacks import attack as build
from sparring.audit.probes.asked import itself
from sparring.audit.probes.canary import CONTROL
from sparring.audit.suites.stage import Stage
from sparring.batches import batches
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.model import Model
from sparring.norms import L0, L1, L2, Linf
from sparring.rng import digest
from sparring.threat import Threat

SPECS = ("pgd:loss=margin", "mifgsm:steps=20")


def surrogate(model: Model, x: Tensor, classes: int) -> Model | None:
    """The other net for images x [n, ...], None where there is none."""
    inner = getattr(itself(model), "inner", None)
    if isinstance(inner, Model) and inner.access == "gradient":
        return inner
    if tuple(x.shape[1:]) == (1, 28, 28) and classes == 10 and model.box == (0.0, 1.0):
        from sparring.zoo.shipped import shipped

        return shipped(CONTROL)
    return None


def crafted(spec: str, other: Model, x: Tensor, y: Tensor, threat: Threat, seed: int, batch_size: int) -> Tensor | None:
    """The points [n, ...] that an attack ends with against the other net; None where it does not know the norm."""
    attack = build(spec)
    if threat.norm not in attack.info.norms:
        return None
    return torch.cat([attack.craft(other, a, b, threat, seed=seed).cpu() for a, b in batches((x, y), batch_size)])


def stage(spec: str, other: Model) -> Stage:
    """What the report calls it."""
    return Stage(f"Transfer from {other.name} ({build(spec).info.title})", Shown.info.name, "transfer")


@register(
    "transfer",
    title="Transfer",
    sees="score",
    norms=(L0, L1, L2, Linf),
    visibility=("visible",),
    specificity=("untargeted",),
    approach="approximation",
    year=2016,
    paper="arXiv:1605.07277",
    listed=False,
)
class Shown(Attack):
    """Points that are known beforehand, each shown once.

    Args:
        points: by the name of the clean image, see `sparring.rng.digest`.
    """

    points: Mapping[int, Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, x: Tensor, points: Tensor) -> Shown:
        """Points [n, ...] for images x [n, ...]."""
        return cls(dict(zip(digest(x).tolist(), points, strict=True)))

    def settings(self) -> dict[str, Any]:
        """None that is worth telling."""
        return {}

    def run(self, bout: Bout) -> None:
        names = digest(bout.x.cpu()).tolist()
        if not self.points.keys() >= set(names):
            raise InputError("transfer knows no points for some images; make it with Shown.of(x, points)")
        found = [self.points[name] for name in names]
        bout.submit(bout.ball.project(torch.stack(found).to(bout.x)))
