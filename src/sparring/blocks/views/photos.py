"""Several photos of one object as a transform: one change of the object, as each photo would show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from sparring.blocks.views.chain import Transform, warp
from sparring.errors import InputError
from sparring.rng import Noise


@dataclass(frozen=True, eq=False)
class Photos(Transform):
    """What was changed in the reference, aligned to one of the photos: photo_i + warp(z - reference, H_i).

    Each row draws its photo. All rows must be changes of the one reference: give its picture to the attack, as a batch
    of one. This is RP2 with the paper's set of photos, and `view_success` then counts over them.

    Args:
        reference: [C, H, W] the object as the attack sees it. photos: [P, C, H, W].
        homographies: [P, 3, 3], where a place of photo i is in the reference; places as in `blocks.views.chain`, the
            middle is 0 and the longer side runs from -1 to 1.

    >>> import torch
    >>> photos = torch.zeros(2, 1, 4, 4)
    >>> show = Photos(torch.zeros(1, 4, 4), photos, torch.eye(3).expand(2, 3, 3))
    >>> float(show(torch.ones(1, 1, 4, 4), Noise.of(photos[:1], 0)).mean())
    1.0
    """

    reference: Tensor
    photos: Tensor
    homographies: Tensor
    name: ClassVar[str] = "photos"

    def __post_init__(self) -> None:
        count, shape = len(self.photos), tuple(self.reference.shape)
        if len(shape) != 3 or self.photos.shape[1:] != shape or self.homographies.shape != (count, 3, 3):
            raise InputError(
                f"reference {shape}, photos {tuple(self.photos.shape)} and homographies "
                f"{tuple(self.homographies.shape)} do not fit; give [C, H, W], [P, C, H, W] and [P, 3, 3]"
            )

    def __call__(self, z: Tensor, noise: Noise) -> Tensor:
        at = noise.below(len(self.photos), 1).squeeze(1)
        photos, matrices = (values.to(z.device, z.dtype)[at] for values in (self.photos, self.homographies))
        return photos + warp(z - self.reference.to(z.device, z.dtype), matrices, "zeros")

    def __str__(self) -> str:
        return f"photos{len(self.photos)}"
