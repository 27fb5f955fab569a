"""Can a detector tell a backdoored net from a clean one? Scores on nets of both kinds, and the area under the ROC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sparring.data.images import ImageData
from sparring.defenses.data.activation import ActivationClustering
from sparring.defenses.data.knn import NearestNeighbours
from sparring.defenses.data.neural_cleanse import neural_cleanse
from sparring.defenses.data.spectral import SpectralSignatures
from sparring.defenses.detect.roc import Roc, roc
from sparring.defenses.training.learners import NetLearner
from sparring.poisoning import poison
from sparring.seeds import derived_seed


@dataclass(frozen=True)
class Detection:
    """One detector over all nets.

    Attributes:
        detector: its name. clean, backdoored: its scores, one for each net.
    """

    detector: str
    clean: tuple[float, ...]
    backdoored: tuple[float, ...]

    @property
    def roc(self) -> Roc:
        """What the scores are worth."""
        return roc(torch.tensor(self.clean), torch.tensor(self.backdoored))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"detector": self.detector, "auroc": self.roc.area, "clean": self.clean, "backdoored": self.backdoored}


def activation_score(net: nn.Module, data: ImageData) -> float:
    """The clearest split of a label's activations into a larger and a smaller group."""
    chosen = ActivationClustering()
    splits = chosen(data, net=net).notes["labels"].values()
    return max((one["silhouette"] for one in splits if one["smaller"] <= chosen.size), default=0.0)


def spectral_score(net: nn.Module, data: ImageData) -> float:
    """The largest share of a label's variance that lies in one direction."""
    return float(max(SpectralSignatures()(data, net=net).notes["first_share_of_variance"].values()))


def neighbour_score(data: ImageData) -> float:
    """The largest share of a label's samples that their neighbours contradict: the samples of a backdoor share one."""
    keep = NearestNeighbours()(data).keep
    return max(float((~keep[data.labels == label]).double().mean()) for label in sorted(set(data.labels.tolist())))


def detect(
    count: int,
    train: ImageData,
    clean: Tensor,
    learner: NetLearner,
    *,
    share: float = 0.05,
    steps: int = 150,
    seed: int = 0,
    attacks: Sequence[str] = ("badnets",),
    say: Callable[[str], None] = lambda line: None,
) -> list[Detection]:
    """Train `count` nets, every second one with a backdoor, and let each detector score them.

    Every net has its own seed and its own random half of the training images; every backdoor its own class, pattern
    and, in turn, attack.

    Args:
        train: training images; each net learns from half of them. clean: images for Neural Cleanse, [B, C, H, W].
        share: of poison. steps: of Neural Cleanse. attacks: names of backdoors.
    """
    scores: dict[str, tuple[list[float], list[float]]] = {
        name: ([], [])
        for name in ("activation clustering", "spectral signatures", "neighbours", "Neural Cleanse", "mask size ratio")
    }
    for k in range(count):
        bad = k % 2 == 1
        mine = derived_seed(seed, "net", k)
        generator = torch.Generator().manual_seed(mine)
        part = train.subset(torch.randperm(len(train), generator=generator)[: len(train) // 2])
        if bad:
            name = attacks[k // 2 % len(attacks)]
            spec = f"{name}:share={share},target={k // 2 % len(train.classes)},pattern={mine % 10_000 + 1}"
            part = poison(spec)(part, seed=mine).data
        net = learner.learn(part, seed=mine)
        cleanse = neural_cleanse(net, clean, steps=steps, seed=mine)
        found = (
            activation_score(net, part), spectral_score(net, part), neighbour_score(part), cleanse.score, cleanse.ratio
        )  # fmt: skip
        for (good, evil), value in zip(scores.values(), found, strict=True):
            (evil if bad else good).append(value)
        say(f"net {k + 1} of {count}, {'backdoored' if bad else 'clean'}: " + ", ".join(f"{one:.2f}" for one in found))
    return [Detection(name, tuple(good), tuple(evil)) for name, (good, evil) in scores.items()]
