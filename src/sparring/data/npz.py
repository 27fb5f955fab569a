"""`npz:FILE`: images and labels in one NumPy archive, never unpickled.

Keys, first match wins: `x_test`, `y_test` (or `x_train`, `y_train`, by split); `test_images`,
`test_labels`; `x`, `y`; `images`, `labels`. The last two pairs have no split, so they are called "all".
`classes`, an array of strings, names the classes if it is there.

Images: uint8 (or other integers) in 0..255, or float in [0, 1]; [N, H, W] grey, [N, C, H, W] or [N, H, W, C]
with C = 1 or 3 (channels first where both fit). Labels: integers [N] or [N, 1].
"""

from __future__ import annotations

import math
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray
from torch import Tensor

from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.registry import DataInfo, Options, Source, check_split
from sparring.errors import InputError

MAX_BYTES = 8 << 30
MAX_CLASSES = 100_000

Array = NDArray[Any]


def load(argument: str, split: str, options: Options) -> ImageData:
    """The images of an .npz file in the order of the file. Raises DataError: one line for each misfit."""
    check_split("npz:", split)
    path = Path(argument).expanduser()
    try:
        with zipfile.ZipFile(path) as archive:
            return _load(path, archive, argument, split)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist; expected an .npz file with x and y") from error
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not an .npz file, or is damaged ({_short(error)}); write one with numpy.savez"
        ) from error
    except (OSError, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{path} cannot be read: {_short(error)}") from error
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def _short(error: Exception) -> str:
    """What a library says of a damaged file may quote all of it."""
    text = " ".join(str(error).split())
    return text if len(text) <= 200 else text[:197] + "..."


def info() -> DataInfo:
    """What `sparring data` shows."""
    about = "arrays x, y (or x_test, y_test) in a NumPy archive"
    return DataInfo("npz:FILE", about, None, None, {}, (), "FILE", 0)


def _load(path: Path, archive: zipfile.ZipFile, argument: str, split: str) -> ImageData:
    keys = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
    pairs = [
        (f"x_{split}", f"y_{split}", split),
        (f"{split}_images", f"{split}_labels", split),
        ("x", "y", "all"),
        ("images", "labels", "all"),
    ]
    x_key, y_key, found = next((pair for pair in pairs if keys.issuperset(pair[:2])), (None, None, ""))
    if x_key is None or y_key is None:
        held = ", ".join(sorted(keys)) or "no arrays"
        raise DataError(f"{path} holds {held}; expected x and y, or x_{split} and y_{split}")
    images = _images(_array(path, archive, x_key), f"{path}: {x_key}")
    labels = _labels(_array(path, archive, y_key), f"{path}: {y_key}")
    classes = _classes(_array(path, archive, "classes"), path) if "classes" in keys else None
    return ImageData(images, labels, classes=classes, name=f"npz:{argument}", split=found)


def _array(path: Path, archive: zipfile.ZipFile, key: str) -> Array:
    """One member, after its header has been checked against the bytes that the archive holds for it."""
    entry = archive.getinfo(f"{key}.npy")
    if entry.file_size > MAX_BYTES:
        raise DataError(f"{path}: {key} is {entry.file_size} bytes; at most {MAX_BYTES} are read")
    try:
        with archive.open(entry) as stream:
            version = npy.read_magic(stream)
            # Version 3 differs from 2 only in the encoding of field names, which images do not have.
            read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
            shape, fortran, dtype = read_header(stream)
            if dtype.hasobject:
                raise DataError(f"{path}: {key} holds Python objects; expected numbers (nothing is unpickled)")
            size = math.prod(shape) * dtype.itemsize
            if size != entry.file_size - stream.tell():
                raise DataError(f"{path}: {key} is damaged: its header does not fit its {entry.file_size} bytes")
            array: Array = np.frombuffer(stream.read(), dtype=dtype)
            return array.reshape(shape, order="F" if fortran else "C")
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{path}: {key} is damaged: {error}") from error


def _images(array: Array, what: str) -> Tensor:
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim != 4 or array.shape[1] not in (1, 3):
        raise DataError(f"{what} has shape {list(array.shape)}; expected [N,H,W], [N,C,H,W] or [N,H,W,C], C = 1 or 3")
    if 0 in array.shape:
        raise DataError(f"{what} has shape {list(array.shape)}: there is nothing in it")
    if array.dtype.kind in "iu":
        if array.min() < 0 or array.max() > 255:
            raise DataError(f"{what} spans [{array.min()}, {array.max()}]; expected integers from 0 to 255")
        array = array.astype(np.uint8)
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # an infinity is found, and named, by ImageData
            array = array.astype(np.float32)
    else:
        raise DataError(f"{what} is {array.dtype}; expected uint8 (0 to 255) or float in [0, 1]")
    return torch.from_numpy(np.ascontiguousarray(array))


def _labels(array: Array, what: str) -> Tensor:
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2:
        raise DataError(f"{what} has shape {list(array.shape)}; expected [N] (if it is one-hot, take argmax(1))")
    if array.dtype.kind not in "iu":
        raise DataError(f"{what} is {array.dtype}; expected integer class labels")
    if array.size and array.max() >= MAX_CLASSES:
        raise DataError(f"{what} holds label {array.max()}; expected 0 to {MAX_CLASSES - 1}")
    return torch.from_numpy(array.astype(np.int64))


def _classes(array: Array, path: Path) -> list[str]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(f"{path}: classes is {array.dtype} {list(array.shape)}; expected strings, one a class")
    return [str(name) for name in array]


SOURCE = Source("npz", load, info, argument="FILE")
