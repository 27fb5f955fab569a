"""Pictures changed at random each time they are trained on: "crop,flip", as papers on CIFAR do (He et al. 2016,
arXiv:1512.03385, section 4.2).

What happens to a picture is a pure function of the run's seed, the epoch and its pixels. So it is the same after a
resume, in any batch, and in any number of processes. Losses get the changed pictures: attacks start from them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from sparring.errors import InputError
from sparring.rng import Noise, TrainingNoise
from sparring.seeds import derived_seed
from sparring.spec import unknown

PADDING = 4
"pixels of zeros on each side, before a crop"


def crop(x: Tensor, noise: Noise) -> Tensor:
    """Pictures [B, C, H, W] with 4 zeros around, cut to their size at one of 9 x 9 places each."""
    count, _, height, width = x.shape
    corner = noise.below(2 * PADDING + 1, 2)
    rows = corner[:, :1] + torch.arange(height)
    columns = corner[:, 1:] + torch.arange(width)
    wide = pad(x, [PADDING] * 4)
    cut = wide[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]]  # [B, H, W, C]
    return cut.permute(0, 3, 1, 2).contiguous()


def flip(x: Tensor, noise: Noise) -> Tensor:
    """Pictures [B, C, H, W], each mirrored left to right with probability one half."""
    return torch.where(noise.uniform(1)[:, :, None, None] < 0.5, x.flip(3), x)


AUGMENTATIONS: dict[str, Callable[[Tensor, Noise], Tensor]] = {"crop": crop, "flip": flip}
"""By name, in the order in which they are applied: (pixels on the CPU, one stream of noise a picture) -> pixels."""


def find_augmentations(names: str) -> tuple[str, ...]:
    """The names in "crop,flip", in the order in which they are applied; none in "".

    Raises:
        InputError: a name that is none, or that is there twice.

    >>> find_augmentations("flip, crop")
    ('crop', 'flip')
    """
    if not isinstance(names, str):
        raise InputError(f"augment is {names!r}; give names, separated by commas: {','.join(AUGMENTATIONS)}")
    given = [name.strip() for name in names.split(",")] if names.strip() else []
    for name in given:
        if name not in AUGMENTATIONS:
            raise unknown("augmentation", name, AUGMENTATIONS)
        if given.count(name) > 1:
            raise InputError(f"{name} is given twice in {names!r}; give it once")
    return tuple(name for name in AUGMENTATIONS if name in given)


def augmented(x: Tensor, names: tuple[str, ...], seed: int, epoch: int) -> Tensor:
    """The pictures [B, C, H, W] of one batch, on the CPU, as they are trained on in this epoch."""
    if not names:
        return x
    noise = TrainingNoise.of(x, derived_seed(seed, "augment", epoch))
    for number, (name, change) in enumerate(AUGMENTATIONS.items()):
        if name in names:
            x = change(x, noise.fold(number))  # a stream of its own: the crops are the same with flips and without
    return x
