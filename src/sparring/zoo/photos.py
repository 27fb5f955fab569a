"""Photographs to try an ImageNet classifier on: those that scikit-image carries in its package, and your own.

As scikit-image states, chelsea (a cat, by Stefan van der Walt), coffee (an espresso, by Rachel Michetti) and
camera (a tripod, by Lav Varshney) are CC0, rocket (by SpaceX) is in the public domain; motorcycle is from the
Middlebury 2014 stereo benchmark. Nothing of them is copied into this package.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from sparring.data.pictures import Recipe, read_picture
from sparring.spec import unknown
from sparring.zoo.extras import need

SAMPLES = {
    "chelsea": "chelsea.png",
    "coffee": "coffee.png",
    "rocket": "rocket.jpg",
    "motorcycle": "motorcycle_left.png",
    "camera": "camera.png",
}
CROP = 0.875  # the part of the shorter side that is kept, as in the evaluation of most ImageNet nets


@dataclass(frozen=True)
class Photo:
    """A picture ready for a net: `image` is [3, size, size] in [0, 1]."""

    name: str
    image: Tensor


def sample_photos(size: int = 224, names: Sequence[str] = tuple(SAMPLES), resize: int | None = None) -> list[Photo]:
    """The photographs `names` (of `SAMPLES`), resized and cut to `size` x `size` pixels. No network is
    needed.

    Raises:
        MissingExtra: scikit-image is not installed. InputError: there is none of that name.
    """
    for name in names:
        if name not in SAMPLES:
            raise unknown("sample photograph", name, SAMPLES)
    # The files themselves: skimage.data's functions may reach for the network.
    folder = Path(need("skimage", "the sample photographs", "imagenet").__file__).parent / "data"
    return [Photo(name, open_photo(folder / SAMPLES[name], size, resize).image) for name in names]


def open_photo(path: str | Path, size: int = 224, resize: int | None = None) -> Photo:
    """A picture file, resized and cut to its central `size` x `size` pixels, named by its file.

    Args:
        resize: the shorter side before the cut; None = `size` / 0.875.

    Raises:
        DataError: no such file, not a picture, truncated or far too large.
    """
    path = Path(path)
    pixels = read_picture(path, Recipe(size=size, resize=resize or round(size / CROP)))
    return Photo(path.stem, pixels.float() / 255)
