"""Detectors of poison on a user's own training data and model, each beside its false alarms on a clean control.

The control are images that nobody has poisoned: the test images of the audit. A detector flags some share of any data
set. Only what it flags beyond the control's share is a suspicion, and even that is no proof: rare clean images and
wrong labels without malice are flagged, too.

    knn          the rule of `NearestNeighbours`; control images are looked up among the training images
    spectral     scores above the 95 % quantile of one half of the control; false alarms are counted on the other half
    activation   the smaller cluster of the labels that `ActivationClustering` finds split; the control joins the
                 cluster whose centre is nearer
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sparring.audit.statistics.proportion import Figure
from sparring.data.images import ImageData
from sparring.defenses.data.activation import ActivationClustering, two_means
from sparring.defenses.data.activations import activations
from sparring.defenses.data.knn import NearestNeighbours, neighbours
from sparring.errors import InputError

QUANTILE = 0.95
"of the control's scores, above which a spectral score is flagged"


@dataclass(frozen=True)
class Suspicion:
    """What one detector flags.

    Attributes:
        detector: its name. flagged: training samples that it flags. control: clean images that it flags by mistake.
        numbers: of the flagged training samples, the most suspicious first.
    """

    detector: str
    flagged: Figure
    control: Figure
    numbers: tuple[int, ...]

    @property
    def beyond_control(self) -> bool:
        """More is flagged than on clean images: the 95 % intervals do not overlap."""
        return self.flagged.low > self.control.high

    def __str__(self) -> str:
        rate = f"{self.detector}: flags {self.flagged}; false-positive rate on the clean control {self.control}"
        if self.beyond_control:
            return f"{rate}. More than the control: a reason to look at these samples, not a proof of poison."
        return f"{rate}. No more than the control: no suspicion."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "detector": self.detector, "flagged": self.flagged.to_dict(),
            "false_positive_rate": self.control.to_dict(), "beyond_control": self.beyond_control,
            "numbers": list(self.numbers),
        }  # fmt: skip


def suspicions(net: nn.Module, train: ImageData, control: ImageData) -> list[Suspicion]:
    """Run the detectors.

    Args:
        net: pixels in [0, 1] to logits, trained on `train`. train: the data under suspicion. control: clean images with
            right labels, of the same classes, none of them in `train`.

    Raises:
        InputError: too few images, or images of another shape.
    """
    if train.shape != control.shape:
        raise InputError(f"the training images are {train.shape}, the control's are {control.shape}; give alike ones")
    if len(train) < 20 or len(control) < 20:
        raise InputError(f"{len(train)} training and {len(control)} control images; give at least 20 of each")
    inside, _ = activations(net, train)
    outside, _ = activations(net, control)
    return [
        _knn(train, control),
        _spectral(inside, train.labels, outside, control.labels),
        _activation(net, train, inside, outside, control.labels),
    ]


def _knn(train: ImageData, control: ImageData) -> Suspicion:
    rule = NearestNeighbours()
    found = rule(train)
    x, y = train.tensors()
    z, labels = control.tensors()
    votes = one_hot(y[neighbours(x.flatten(1), rule.k, z.flatten(1))], len(train.classes)).double().mean(1)
    own = votes.gather(1, labels[:, None])[:, 0]
    other = votes.scatter(1, labels[:, None], -1.0).amax(1)
    return _made("knn", found.scores, ~found.keep, (other >= rule.eta) & (other > own))


def _spectral(inside: Tensor, labels: Tensor, outside: Tensor, others: Tensor) -> Suspicion:
    scores, usual = torch.zeros(len(labels)).double(), torch.zeros(len(others)).double()
    for label in sorted(set(labels.tolist())):
        rows, held = labels == label, others == label
        mean = inside[rows].mean(0)
        centred = inside[rows] - mean
        first = torch.linalg.eigh(centred.T @ centred)[1][:, -1]
        scale = (centred @ first).square().mean().clamp(min=1e-30)  # labels differ in spread
        scores[rows] = (centred @ first).square() / scale
        usual[held] = ((outside[held] - mean) @ first).square() / scale
    bound = usual[0::2].quantile(QUANTILE)
    return _made("spectral", scores, scores > bound, usual[1::2] > bound)


def _activation(net: nn.Module, train: ImageData, inside: Tensor, outside: Tensor, others: Tensor) -> Suspicion:
    rule = ActivationClustering()
    found = rule(train, net=net)
    alarms = torch.zeros(len(others), dtype=torch.bool)
    labels = train.labels
    for label, split in found.notes["labels"].items():
        if split["smaller"] > rule.size or split["silhouette"] < rule.silhouette:
            continue
        rows, held = labels == label, (others == label).nonzero().flatten()
        mean = inside[rows].mean(0)
        centred = inside[rows] - mean
        basis = torch.linalg.eigh(centred.T @ centred)[1].flip(1)[:, : rule.components]
        small = two_means(centred @ basis)
        centres = torch.stack([(centred @ basis)[~small].mean(0), (centred @ basis)[small].mean(0)])
        alarms[held] = torch.cdist((outside[held] - mean) @ basis, centres).argmin(1).bool()
    return _made("activation", found.scores, ~found.keep, alarms)


def _made(name: str, scores: Tensor, flagged: Tensor, alarms: Tensor) -> Suspicion:
    order = scores.argsort(descending=True, stable=True)
    numbers = tuple(order[flagged[order]].tolist())
    return Suspicion(name, Figure(len(numbers), len(scores)), Figure(int(alarms.sum()), len(alarms)), numbers)
