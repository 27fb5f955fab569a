"""What files for other runtimes have in common: a size limit, a digest, the layout of pictures, 8-bit input and output.

Neither ONNX nor TFLite files run code of their own, so they need no `trust`; the runtime reads them in this process.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sparring.errors import InputError

MOST_BYTES = 2 << 30
USUAL_RANGES = ((0.0, 1.0), (-1.0, 1.0), (0.0, 255.0), (-128.0, 127.0))
"real values that the ends of an 8-bit input stand for, where pixels go in as they are"


def checked_file(name: str, kind: str) -> Path:
    """The file. Raises InputError: there is none, or it is too large."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(f"there is no file {path}")
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} has {path.stat().st_size} bytes; {kind} files of at most {MOST_BYTES} are read")
    return path


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Picture:
    """How a file takes pictures. last: channels last, NHWC. size: (C, H, W), where it is fixed."""

    last: bool
    size: tuple[int, int, int] | None

    @classmethod
    def of_shape(cls, shape: Sequence[Any], where: str) -> Picture:
        """From the shape of the input, such as [1, 224, 224, 3]; what is not fixed is no positive whole number.

        Raises:
            InputError: not four dimensions, or none of them is that of channels.
        """
        sides = [int(side) if isinstance(side, int | np.integer) and side > 0 else None for side in shape]
        if len(sides) != 4 or (sides[1] not in (1, 3) and sides[3] not in (1, 3)):
            raise InputError(
                f"{where} takes input of shape {list(shape)}; a picture, [N, C, H, W] or [N, H, W, C] with 1 or 3 "
                "channels, is needed"
            )
        last = sides[1] not in (1, 3)
        channels, height, width = (sides[3], sides[1], sides[2]) if last else sides[1:]
        known = channels is not None and height is not None and width is not None
        return cls(last, (channels, height, width) if known else None)  # type: ignore[arg-type]

    def turned(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Pixels [B, C, H, W] in the file's layout."""
        return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1)) if self.last else pixels


@dataclass(frozen=True)
class EightBits:
    """An 8-bit tensor: real value = (number - zero) * scale."""

    dtype: type[Any]
    scale: float
    zero: int

    @property
    def least(self) -> int:
        return int(np.iinfo(self.dtype).min)

    def takes_pixels(self) -> bool:
        """Do its numbers stand for pixels from 0 to 255, as they are (less 128 for int8)?"""
        ends = [(self.least + end - self.zero) * self.scale for end in (0, 255)]
        width = ends[1] - ends[0]
        return any(max(abs(a - b) for a, b in zip(ends, usual, strict=True)) <= 0.01 * width for usual in USUAL_RANGES)

    def pixels(self, x: NDArray[Any]) -> NDArray[Any]:
        """Pixels in [0, 1] as 8-bit pixels."""
        levels: NDArray[Any] = np.rint(x * 255) + self.least
        return levels.astype(self.dtype)

    def quantised(self, values: NDArray[Any]) -> NDArray[Any]:
        """Real values, rounded and clipped."""
        numbers: NDArray[Any] = np.clip(np.rint(values / self.scale) + self.zero, self.least, self.least + 255)
        return numbers.astype(self.dtype)

    def real(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Real values of 8-bit numbers."""
        return ((numbers.astype(np.float32) - self.zero) * np.float32(self.scale)).astype(np.float32)

    def is_softmax(self) -> bool:
        """Is it how the output of a softmax is always stored: from 0 to 255/256?"""
        return abs(self.scale - 1 / 256) < 1e-6 and self.zero == self.least


def normalised(x: NDArray[np.float32], mean: Any, std: Any) -> NDArray[np.float32]:
    """Pixels [B, C, H, W] less the mean, divided by the deviation; a number or one a channel each, None = neither."""
    for values, divide in ((mean, False), (std, True)):
        if values is not None:
            column = np.asarray(values, np.float32).reshape(1, -1, 1, 1)
            if column.shape[1] not in (1, x.shape[1]):
                raise InputError(f"mean or std has {column.shape[1]} channels but the images have {x.shape[1]}")
            x = x / column if divide else x - column
    return x
