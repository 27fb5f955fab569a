"""Where the pixels of a data set come from: the `Images` protocol, and images held in memory."""

from __future__ import annotations

from typing import Protocol, cast, runtime_checkable

import torch
from torch import Tensor

from sparring.errors import InputError


class Images(Protocol):
    """Images by row number: `TensorImages`, `OverlaidImages` and `folder.FolderImages`."""

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W)."""
        ...

    def __getitem__(self, rows: Tensor) -> Tensor:
        """Fresh memory [B, C, H, W] for rows int64 [B]: uint8 in 0..255, or float32 in [0, 1]."""
        ...


@runtime_checkable
class Rereadable(Images, Protocol):
    """Images that can be read from their files in another way."""

    chosen: frozenset[str]
    """the options that the user gave, which nothing may overrule"""

    def reread(self, **changes: int | bool) -> Images: ...

    def sizes(self, rows: Tensor) -> list[tuple[int, int]]: ...


class TensorImages:
    """Images in memory: [N, C, H, W], uint8 (kept so: a quarter of the memory) or float in [0, 1].

    Raises InputError for another shape or type, and for floats outside [0, 1].
    """

    def __init__(self, pixels: Tensor) -> None:
        if pixels.ndim != 4:
            raise InputError(f"images have shape {list(pixels.shape)}; expected [N, C, H, W]")
        self._pixels = (pixels if pixels.dtype == torch.uint8 else _unit_floats(pixels)).detach().cpu()

    def __len__(self) -> int:
        return len(self._pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        return cast(tuple[int, int, int], tuple(self._pixels.shape[1:]))

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self._pixels[rows]


def _unit_floats(pixels: Tensor) -> Tensor:
    if not pixels.dtype.is_floating_point:
        raise InputError(f"images are {pixels.dtype}; expected uint8 (0 to 255) or float in [0, 1]")
    x = pixels.to(torch.float32)
    if x.numel():
        low, high = float(x.min()), float(x.max())
        if not (low >= 0.0 and high <= 1.0):  # NaN fails both comparisons
            raise InputError(
                f"float images span [{low:g}, {high:g}]; expected [0, 1] (divide by 255, or pass uint8; "
                "normalisation belongs in the model)"
            )
    return x


class OverlaidImages:
    """Other images with some rows replaced; the others are neither copied nor read before they are asked for.

    Args:
        base: the images below. rows: which of their rows appear, int64 [N], in that order.
        places: the rows of the result that are replaced, int64 [M]. pixels: what stands there, uint8 [M, C, H, W].
    """

    def __init__(self, base: Images, rows: Tensor, places: Tensor, pixels: Tensor) -> None:
        if pixels.dtype != torch.uint8 or tuple(pixels.shape) != (len(places), *base.shape):
            raise InputError(
                f"the new images are {pixels.dtype} {list(pixels.shape)}; expected uint8 {[len(places), *base.shape]}"
            )
        self._base, self._rows, self._pixels = base, rows.clone(), pixels.detach().cpu().clone()
        self._at = torch.full((len(rows),), -1)
        self._at[places] = torch.arange(len(places))

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def shape(self) -> tuple[int, int, int]:
        return self._base.shape

    def __getitem__(self, rows: Tensor) -> Tensor:
        x, at = self._base[self._rows[rows]], self._at[rows]
        new = self._pixels[at[at >= 0]]
        x[at >= 0] = new if x.dtype == torch.uint8 else new.to(x.dtype) / 255
        return x
