"""Shuffled mini-batches whose order is a pure function of the seed and the epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from sparring.data.images import ImageData
from sparring.defenses.training.augment import augmented
from sparring.errors import InputError
from sparring.seeds import derived_seed

TrainingData = ImageData | tuple[Tensor, Tensor] | TensorDataset
"images of `sparring.data`, in memory or decoded on demand, or a pair (x [N, C, H, W] in [0, 1], y [N])"


def as_data(data: TrainingData, what: str) -> ImageData:
    """Either kind as `ImageData`, which checks pairs; `what` names it in the error about an empty one."""
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        data = (data.tensors[0], data.tensors[1])
    if isinstance(data, tuple) and len(data) == 2:
        data = ImageData(*data)
    if not isinstance(data, ImageData):
        raise InputError(
            f"the images to {what} are a {type(data).__name__}; give (x, y), a TensorDataset or images of "
            "sparring.data (from a DataLoader: x, y = map(torch.cat, zip(*loader)))"
        )
    if len(data) == 0:
        raise InputError(f"there is no image to {what}; the data set is empty")
    return data


class Batches:
    """The batches of a run, split evenly over `world` processes (this one is number `rank`).

    Args:
        data: the images.
        size: images in a batch, all processes together and at least one for each. The last of an epoch may be
            smaller.
        seed: of the order.
        least: images that each process needs in a batch; a smaller rest joins the batch before it.
        augment: how the images are changed at random, see `find_augmentations`.
    """

    def __init__(
        self,
        data: ImageData,
        size: int,
        seed: int,
        rank: int = 0,
        world: int = 1,
        least: int = 1,
        augment: tuple[str, ...] = (),
    ) -> None:
        self.data, self.size, self.seed, self.rank, self.world, self.least = data, size, seed, rank, world, least
        self.augment = augment

    def __len__(self) -> int:
        """Batches in an epoch. A rest too small to give every process an image is left out of that epoch."""
        whole, rest = divmod(len(self.data), self.size)
        return whole + (rest >= self.world * (self.least if whole else 1))

    def epoch(self, number: int) -> Iterator[tuple[Tensor, Tensor, float]]:
        """Yield (x, y, weight): this process's share of each batch of epoch `number`.

        `weight` is the share's size relative to an even split: the mean over processes of (weight * mean loss
        of the share) is the mean loss of the batch.
        """
        generator = torch.Generator().manual_seed(derived_seed(self.seed, "shuffle", number))
        order = torch.randperm(len(self.data), generator=generator)
        count = len(self)
        for k in range(count):
            start, stop = k * self.size, (k + 1) * self.size
            left = len(order) - stop
            if k == count - 1 and self.world <= left < self.world * self.least:
                stop = len(order)
            batch = order[start:stop]
            share = batch[self.rank :: self.world]
            x, y = self.data.subset(share).tensors()
            yield augmented(x, self.augment, self.seed, number), y, len(share) * self.world / len(batch)
