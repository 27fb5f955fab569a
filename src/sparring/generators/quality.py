"""What a generator is worth: classes seen, Frechet distance, precision and recall, memorisation, reconstruction error.

Features are what a classifier sees before its last layer (the shipped `mnist-cnn` for digits), not Inception's, so a
Frechet distance here compares with others of the same classifier only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from sparring.errors import InputError
from sparring.generators.pairs import Generator
from sparring.generators.projection import Projection
from sparring.generators.watch import class_shares
from sparring.model import Model
from sparring.rng import Noise


@dataclass(frozen=True)
class Quality:
    """The figures, over `samples` images made and as many real ones.

    Attributes:
        classes_seen: classes with at least 1 % of the samples. largest_class: the share of the most frequent.
        frechet: distance of Gaussians fitted to the features (Heusel et al. 2017, arXiv:1706.08500); lower is better.
        frechet_real: the same between real training and real test images, the least that can be hoped for.
        precision, recall: shares of samples near real images, of real ones near samples (arXiv:1904.06991).
        nearest: median L2 distance from a sample to the nearest training image; nearest_test: from a test image. A
            sample that lies much nearer than test images do is a copy.
        reconstruction: mean squared error a pixel of test images after projection; None where it was not measured.
    """

    samples: int
    classes_seen: int
    largest_class: float
    frechet: float
    frechet_real: float
    precision: float
    recall: float
    nearest: float
    nearest_test: float
    reconstruction: float | None

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values."""
        return asdict(self)


def features(judge: Model, images: Tensor) -> Tensor:
    """What enters the judge's last layer: [N, D]."""
    if not isinstance(judge.net, nn.Sequential):
        raise InputError(f"{judge.name} is no nn.Sequential, so its last layer cannot be left out; take mnist-cnn")
    body = judge.net[:-1]
    with judge.guard(), torch.no_grad():
        return torch.cat([body(judge.accept(part)).flatten(1) for part in torch.split(images, 500)]).cpu()


def frechet(a: Tensor, b: Tensor) -> float:
    """Between Gaussians fitted to features [N, D] and [M, D].

    >>> a = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    >>> round(frechet(a, a + torch.tensor([3.0, 4.0])), 3)
    25.0
    """
    a, b = a.double(), b.double()
    first, second = a.T.cov(), b.T.cov()
    values, vectors = torch.linalg.eigh(first)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ second @ root).clamp(min=0).sqrt().sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return float(apart + first.trace() + second.trace() - 2 * cross)


def precision_recall(real: Tensor, made: Tensor, k: int = 3) -> tuple[float, float]:
    """Shares of `made` within a real feature's distance to its k-th neighbour, and of `real` within a made one's."""

    def covered(points: Tensor, by: Tensor) -> float:
        reach = torch.cdist(by, by).kthvalue(min(k + 1, len(by)), 1).values  # the nearest is itself
        return float((torch.cdist(points, by) <= reach).any(1).float().mean())

    return covered(made, real), covered(real, made)


def nearest_distance(images: Tensor, among: Tensor) -> float:
    """The median over `images` of the L2 distance to the nearest image of `among`."""
    flat, others = images.flatten(1), among.flatten(1)
    found = [torch.cdist(flat, part).amin(1) for part in torch.split(others, 10_000)]
    return float(torch.stack(found).amin(0).median())


def spread(images: Tensor, n: int) -> Tensor:
    """`n` of the images, at even distances.

    >>> spread(torch.arange(10), 4).tolist()
    [0, 3, 6, 9]
    """
    return images[torch.linspace(0, len(images) - 1, min(n, len(images))).long()]


def quality(
    generator: Generator,
    judge: Model,
    train: Tensor,
    test: Tensor,
    *,
    samples: int = 2000,
    projected: int = 100,
    seed: int = 0,
) -> Quality:
    """Measure a generator.

    Args:
        judge: the classifier whose features and classes count.
        train, test: real images [N, C, H, W] in [0, 1], from which as many are taken at even distances: the first
            half of MNIST's test images is easier than the second.
        projected: test images that are reconstructed, by generators that can be searched.
    """
    made, real, other = generator.sample(samples, seed + 1).clamp(0, 1), spread(test, samples), spread(train, samples)
    shares = class_shares(judge, made)
    seen, true = features(judge, made), features(judge, real)
    precise, recalled = precision_recall(true, seen)
    error = None
    if projected and generator.projects:
        x = spread(test, projected)
        error = float(Projection().run(generator, x, Noise.of(x, seed)).error.mean())
    some = min(samples, 500)
    return Quality(
        samples=samples,
        classes_seen=int((shares >= 0.01).sum()),
        largest_class=float(shares.max()),
        frechet=frechet(true, seen),
        frechet_real=frechet(true, features(judge, other)),
        precision=precise,
        recall=recalled,
        nearest=nearest_distance(made[:some], train),
        nearest_test=nearest_distance(real[:some], train),
        reconstruction=error,
    )
