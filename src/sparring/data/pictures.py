"""One picture file -> uint8 pixels [C, H, W], whatever its format, mode and orientation.

Picture files are hostile input: formats that start another program or only pretend to decode are refused, a
picture larger than `PIL.Image.MAX_IMAGE_PIXELS` is an error, and so is a truncated one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps
from torch import Tensor

from sparring.data.errors import DataError

# EPS runs Ghostscript, WMF draws through Windows, and the rest are stubs without a decoder.
REFUSED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"})
SIXTEEN_BIT = 65535


@dataclass(frozen=True)
class Recipe:
    """How a picture becomes an image.

    size: resize the shorter side to `size` (bilinear, antialiased), then cut the central square; None leaves
        the size as it is. resize: resize the shorter side to this instead, before cutting. crop: False leaves
        out the cut. gray: one channel instead of three.
    """

    size: int | None = None
    resize: int | None = None
    crop: bool = True
    gray: bool = False

    def __post_init__(self) -> None:
        if self.size is None and self.resize is not None:
            raise DataError("resize= needs size= as well, as in ?size=224&resize=256")
        if self.size is not None and not 1 <= self.size <= (self.resize or self.size):
            raise DataError(f"size={self.size}, resize={self.resize}; expected 1 <= size <= resize")
        if self.resize is not None and not self.crop:
            raise DataError("resize= only makes sense with a crop; without one, give size= alone")


@cache
def formats() -> tuple[str, ...]:
    """The formats that are read: all that this pillow decodes, less those that are refused."""
    Image.init()
    return tuple(sorted(set(Image.OPEN) - REFUSED))


@cache
def suffixes() -> frozenset[str]:
    """File name endings, lower case with the dot, of the formats that are read."""
    known = Image.registered_extensions()
    return frozenset(ending for ending, name in known.items() if name in formats())


def read_picture(path: Path, recipe: Recipe) -> Tensor:
    """Decode one file to uint8 [3, H, W] (RGB), or [1, H, W] with `recipe.gray`.

    The EXIF orientation is applied; transparency is laid over white; 16-bit greys are rounded to 8 bits; of
    an animation, the first frame counts.

    Raises:
        DataError: one line that names the file: not a picture, truncated, too large, pixels of unknown range.
    """
    return decode(path, str(path), recipe)


def decode(file: Path | IO[bytes], name: str, recipe: Recipe) -> Tensor:
    """The same of a file that may be open already; `name`: what errors call it."""
    try:
        with Image.open(file, formats=formats()) as picture:
            _check_size(picture.size)
            return _tensor(_shaped(_plain(picture, "L" if recipe.gray else "RGB"), recipe))
    except DataError as error:
        raise DataError(f"picture {name}: {error}") from error
    except Exception as error:  # decoders of damaged files raise whatever they stumble over
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"picture {name} cannot be read: {reason}") from error


def picture_size(path: Path) -> tuple[int, int]:
    """(height, width) as the head of the file says, after the EXIF orientation. Raises DataError: no picture."""
    return head_size(path, str(path))


def head_size(file: Path | IO[bytes], name: str) -> tuple[int, int]:
    """The same of a file that may be open already."""
    try:
        with Image.open(file, formats=formats()) as picture:
            turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
            return picture.size if turned else picture.size[::-1]
    except Exception as error:  # see above
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"picture {name} cannot be read: {reason}") from error


def _check_size(size: tuple[int, int]) -> None:
    limit = Image.MAX_IMAGE_PIXELS
    if limit is not None and size[0] * size[1] > limit:
        raise DataError(f"{size[0]} x {size[1]} pixels; at most {limit} are decoded (PIL.Image.MAX_IMAGE_PIXELS)")


def _plain(picture: Image.Image, mode: str) -> Image.Image:
    """Upright, opaque, 8 bits a channel, in `mode`."""
    image = ImageOps.exif_transpose(picture)
    if image.mode == "I" or image.mode.startswith("I;16"):
        image = _eight_bits(image)
    elif image.mode == "F":
        raise DataError("floating-point pixels have no fixed range; save it with 8 or 16 bits")
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert(mode)


def _eight_bits(image: Image.Image) -> Image.Image:
    # Pillow's own conversion from 16 bits clips at 255 instead of scaling.
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > SIXTEEN_BIT:
        raise DataError(f"grey values span [{values.min()}, {values.max()}]; expected 16 bits, 0 to {SIXTEEN_BIT}")
    return Image.fromarray(np.rint(values * (255 / SIXTEEN_BIT)).astype(np.uint8))


def _shaped(image: Image.Image, recipe: Recipe) -> Image.Image:
    if recipe.size is None:
        return image
    width, height = image.size
    scale = (recipe.resize or recipe.size) / min(width, height)
    scaled = (max(recipe.size, round(width * scale)), max(recipe.size, round(height * scale)))
    _check_size(scaled)  # a picture one pixel high and a million wide would explode here
    image = image.resize(scaled, Image.Resampling.BILINEAR)
    if not recipe.crop:
        return image
    left, top = (scaled[0] - recipe.size) // 2, (scaled[1] - recipe.size) // 2
    return image.crop((left, top, left + recipe.size, top + recipe.size))


def _tensor(image: Image.Image) -> Tensor:
    pixels = np.array(image)  # a copy: torch wants memory it may write to
    return torch.from_numpy(pixels).reshape(image.height, image.width, -1).permute(2, 0, 1).contiguous()
