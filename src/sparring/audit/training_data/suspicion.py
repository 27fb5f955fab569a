"""Detectors of poison on a user's own training data and model, each beside its false alarms on a clean control.

The control are images that nobody has poisoned: the test images of the audit. A detector flags some share of any data
set. Only what it flags beyond the control's share is a suspicion, and even that is no proof: rare clean images and
wrong labels without malice are flagged, too. Each label is also compared with the control's images of that label: a
backdoor is a small share of all samples, but a large one of its own label.

    knn          the rule of `NearestNeighbours`; control images are looked up among the training images
    spectral     scores above the 95 % quantile of one half of each label of the control; false alarms are counted on
                 the other half
    activation   the smaller cluster of the labels that `ActivationClustering` finds split; the control joins the
                 cluster whose centre is nearer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from sparring.audit.statistics.proportion import Figure, percent, wilson
from sparring.data.images import ImageData
from sparring.defenses.data.activation import ActivationClustering, two_means
from sparring.defenses.data.activations import activations
from sparring.defenses.data.knn import NearestNeighbours, neighbours
from sparring.errors import InputError

QUANTILE = 0.95
"of the control's scores, above which a spectral score is flagged"


@dataclass(frozen=True)
class LabelFigures:
    """What one detector flags of one label.

    Attributes:
        level: of the intervals; the more labels, the nearer to 1, so that all together err in 5 % at most.
    """

    label: str
    flagged: Figure
    control: Figure
    level: float

    @property
    def beyond_control(self) -> bool:
        """More is flagged than on clean images of this label: the intervals do not overlap."""
        z = NormalDist().inv_cdf((1 + self.level) / 2)
        return wilson(self.flagged.hits, self.flagged.of, z)[0] > wilson(self.control.hits, self.control.of, z)[1]

    def __str__(self) -> str:
        sides = (f"{percent(one.value)} ({one.hits} of {one.of})" for one in (self.flagged, self.control))
        return f"{self.label}: {' against '.join(sides)}"


@dataclass(frozen=True)
class Suspicion:
    """What one detector flags.

    Attributes:
        detector: its name. flagged: training samples that it flags. control: clean images that it flags by mistake.
        numbers: of the flagged training samples, the most suspicious first. labels: the same, label by label.
    """

    detector: str
    flagged: Figure
    control: Figure
    numbers: tuple[int, ...]
    labels: tuple[LabelFigures, ...] = ()

    @property
    def beyond_control(self) -> bool:
        """More is flagged than on clean images, of all labels or of one: the intervals do not overlap."""
        return self._overall or bool(self.suspects)

    @property
    def suspects(self) -> tuple[LabelFigures, ...]:
        """Labels of which more is flagged than on clean images."""
        return tuple(one for one in self.labels if one.beyond_control)

    @property
    def _overall(self) -> bool:
        return self.flagged.low > self.control.high

    def __str__(self) -> str:
        rate = f"{self.detector}: flags {self.flagged}; false-positive rate on the clean control {self.control}"
        named = "; ".join(map(str, self.suspects))
        if not self.beyond_control:
            return f"{rate}. No more than the control: no suspicion."
        more = "More than the control" + (f" (label {named})" if named else "")
        if not self._overall:
            more = f"No more than the control in all, but more of label {named}"
        return f"{rate}. {more}: a reason to look at these samples, not a proof of poison."

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "detector": self.detector, "flagged": self.flagged.to_dict(),
            "false_positive_rate": self.control.to_dict(), "beyond_control": self.beyond_control,
            "labels": {
                one.label: {"flagged": one.flagged.to_dict(), "false_positive_rate": one.control.to_dict()}
                for one in self.suspects
            },
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
    compared = [
        ("knn", _knn(train, control)),
        ("spectral", _spectral(inside, train.labels, outside, control.labels)),
        ("activation", _activation(net, train, inside, outside, control.labels)),
    ]
    return [_compare(name, flags, train.labels, control.labels, train.classes) for name, flags in compared]


@dataclass(frozen=True)
class _Flags:
    """Scores of the training samples [N], which of them are flagged; which of the control's images `counted` are."""

    scores: Tensor
    flagged: Tensor
    alarms: Tensor
    counted: Tensor


def _knn(train: ImageData, control: ImageData) -> _Flags:
    rule = NearestNeighbours()
    found = rule(train)
    x, y = train.tensors()
    z, labels = control.tensors()
    votes = one_hot(y[neighbours(x.flatten(1), rule.k, z.flatten(1))], len(train.classes)).double().mean(1)
    own = votes.gather(1, labels[:, None])[:, 0]
    other = votes.scatter(1, labels[:, None], -1.0).amax(1)
    return _Flags(found.scores, ~found.keep, (other >= rule.eta) & (other > own), torch.ones_like(labels).bool())


def _spectral(inside: Tensor, labels: Tensor, outside: Tensor, others: Tensor) -> _Flags:
    scores, usual = torch.zeros(len(labels)).double(), torch.zeros(len(others)).double()
    counted = torch.zeros(len(others), dtype=torch.bool)
    for label in sorted(set(labels.tolist())):
        rows, held = labels == label, others == label
        mean = inside[rows].mean(0)
        centred = inside[rows] - mean
        first = torch.linalg.eigh(centred.T @ centred)[1][:, -1]
        scale = (centred @ first).square().mean().clamp(min=1e-30)  # labels differ in spread
        scores[rows] = (centred @ first).square() / scale
        usual[held] = ((outside[held] - mean) @ first).square() / scale
        counted[held.nonzero().flatten()[1::2]] = True  # half of each label, however they are ordered
    bound = usual[~counted].quantile(QUANTILE)
    return _Flags(scores, scores > bound, (usual > bound) & counted, counted)


def _activation(net: nn.Module, train: ImageData, inside: Tensor, outside: Tensor, others: Tensor) -> _Flags:
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
    return _Flags(found.scores, ~found.keep, alarms, torch.ones_like(alarms))


def _compare(name: str, flags: _Flags, labels: Tensor, others: Tensor, classes: Sequence[str]) -> Suspicion:
    """What is flagged beside the control, in all and label by label."""
    order = flags.scores.argsort(descending=True, stable=True)
    numbers = tuple(order[flags.flagged[order]].tolist())
    present = sorted(set(labels.tolist()))

    def figures(rows: Tensor, held: Tensor) -> tuple[Figure, Figure]:
        mine, usual = flags.flagged[rows], flags.alarms[held & flags.counted]
        return Figure(int(mine.sum()), len(mine)), Figure(int(usual.sum()), len(usual))

    each = tuple(
        LabelFigures(classes[label], *figures(labels == label, others == label), 1 - 0.05 / len(present))
        for label in present
    )
    return Suspicion(name, *figures(labels >= 0, others >= 0), numbers, each)
