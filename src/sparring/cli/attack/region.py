"""`--region`: which pixels may change, from a rectangle or a picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def region_of(text: str, shape: tuple[int, int, int]) -> Tensor:
    """bool [H, W] for images of the shape (C, H, W).

    Args:
        text: "TOP:BOTTOM,LEFT:RIGHT", pixels counted from 0, the ends not included and optional, as in Python; or a
            picture file of the size of the images, where white (128 and more of 255) may change.

    >>> int(region_of("2:4,:3", (1, 5, 5)).sum())
    6
    """
    import torch

    from sparring.errors import InputError

    height, width = shape[1:]
    sides = re.fullmatch(r"(\d*):(\d*),(\d*):(\d*)", text.replace(" ", ""))
    if sides is None:
        return _picture(Path(text), height, width)
    top, bottom, left, right = (int(side) if side else None for side in sides.groups())
    mask = torch.zeros(height, width, dtype=torch.bool)
    mask[top:bottom, left:right] = True
    if not bool(mask.any()):
        raise InputError(f"--region {text} holds no pixel of images of {height} x {width}; write TOP:BOTTOM,LEFT:RIGHT")
    return mask


def _picture(path: Path, height: int, width: int) -> Tensor:
    from sparring.data.pictures import Recipe, read_picture
    from sparring.errors import InputError

    if not path.is_file():
        raise InputError(f"--region {path} is neither TOP:BOTTOM,LEFT:RIGHT (like 8:20,8:20) nor a picture that exists")
    pixels = read_picture(path, Recipe(gray=True))[0]
    if tuple(pixels.shape[-2:]) != (height, width):
        seen = " x ".join(map(str, pixels.shape[-2:]))
        raise InputError(f"--region {path} is {seen} pixels, the images are {height} x {width}; give the same size")
    mask: Tensor = pixels >= 128
    return mask
