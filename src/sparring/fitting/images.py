"""The images of a fit, from whatever holds them, and their split."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from sparring.class_numbers import integers
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.model import Model
from sparring.seeds import derived_seed


@dataclass(frozen=True)
class Images:
    """x [N, ...] and the classes y [N]."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, rows: Tensor) -> Images:
        return Images(self.x[rows], self.y[rows])

    def accepted(self, model: Model) -> Images:
        """The same as the model takes them: checked, on its device."""
        return Images(model.accept(self.x), self.y.cpu())


def images_of(data: Any) -> tuple[Tensor, Tensor]:
    """x [N, ...] and y [N] of a pair, images of `sparring.data`, a TensorDataset, or the batches of a DataLoader.

    Raises:
        InputError: it is none of these, or empty.
    """
    if isinstance(data, ImageData):
        return data.tensors()
    if isinstance(data, TensorDataset) and len(data.tensors) == 2:
        data = data.tensors
    if isinstance(data, (tuple, list)) and len(data) == 2 and isinstance(data[0], Tensor):
        x, y = data[0], integers(data[1])
    elif isinstance(data, Iterable):
        batches = list(data)
        if not batches or any(not isinstance(batch, (tuple, list)) or len(batch) != 2 for batch in batches):
            raise InputError("the images to learn from are no batches of (x, y); give (x, y), a DataLoader or images")
        x = torch.cat([torch.as_tensor(batch[0]) for batch in batches])
        y = torch.cat([integers(batch[1]).reshape(-1) for batch in batches])
    else:
        raise InputError(f"the images to learn from are a {type(data).__name__}; give (x, y), a DataLoader or images")
    if len(x) != len(y):
        raise InputError(f"there are {len(x)} images but {len(y)} labels; give one label for each image")
    return x, y.long()


def split(images: Images, seed: int) -> tuple[Images, Images]:
    """Four fifths to learn from, and a fifth to watch the fit by; which are which depends on the seed.

    Raises:
        InputError: there are fewer than two.
    """
    if len(images) < 2:
        raise InputError(
            f"there is {len(images)} image; give at least 2, one to learn from and one to watch the fit by"
        )
    generator = torch.Generator().manual_seed(derived_seed(seed, "validation"))
    order = torch.randperm(len(images), generator=generator)
    count = max(1, len(images) // 5)
    return images[order[count:]], images[order[:count]]
