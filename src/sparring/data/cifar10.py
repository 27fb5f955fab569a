"""`cifar10`: 32 x 32 colour photographs in ten classes, from the *binary* version (the other is a pickle).

Read from `data_batch_1.bin` ... `data_batch_5.bin` and `test_batch.bin`, or from `cifar-10-binary.tar.gz`,
in `$SPARRING_DATA/cifar10/` or the cache; else downloaded. A record is one label byte and 3 x 32 x 32 pixels.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from sparring.data.download import DownloadError, Remote, download
from sparring.data.errors import DataError
from sparring.data.images import ImageData
from sparring.data.places import cache_folder, folders
from sparring.data.registry import DataInfo, Options, Source, check_split

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
RECORD, RECORDS = 1 + 3 * 32 * 32, 10_000
INSIDE = "cifar-10-batches-bin"
ARCHIVE = Remote(
    "cifar-10-binary.tar.gz", 170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
)
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz",
    "https://cave.cs.toronto.edu/kriz",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10",
)


def load(argument: str, split: str, options: Options) -> ImageData:
    """50,000 training or 10,000 test images [3, 32, 32] in the order of the files. Raises DataError."""
    check_split("cifar10", split)
    paths = _find(split)
    if not paths:
        own = _archive()
        archive = own or fetch(split)
        paths = _unpack(archive, split)
        if own is None:  # downloaded just now, and of no use any more
            archive.unlink()
    records = np.concatenate([_read(path) for path in paths])
    labels = torch.from_numpy(records[:, 0].copy())
    images = torch.from_numpy(records[:, 1:].reshape(-1, 3, 32, 32))
    return ImageData(images, labels, classes=CLASSES, name="cifar10", split=split)


def fetch(split: str, mirrors: Sequence[str] = MIRRORS, remote: Remote = ARCHIVE, pause: float = 1.0) -> Path:
    """Download the archive into the cache. Raises DataError with the places to put it by hand."""
    try:
        return download(remote, mirrors, cache_folder("cifar10"), pause=pause)
    except DownloadError as error:
        raise DataError(
            f"cifar10 ({split}) is not on this machine and {error}. Without a network, put "
            f"{folders('cifar10')[0] / remote.name} there yourself, or use mnist5k, which needs no network"
        ) from error


def info() -> DataInfo:
    """What `sparring data` shows."""
    archive = _archive()
    found = {split: _find(split) for split in BATCHES}
    files = [path for paths in found.values() for path in paths] or ([archive] if archive else [])
    return DataInfo(
        name="cifar10",
        about="photographs, 32 x 32 colour",
        shape=(3, 32, 32),
        classes=10,
        splits={"train": 50_000, "test": 10_000},
        offline=tuple(BATCHES) if archive else tuple(split for split, paths in found.items() if paths),
        place=str(files[0].parent if files else cache_folder("cifar10")),
        bytes=sum(path.stat().st_size for path in files) or ARCHIVE.size,
    )


def _find(split: str) -> list[Path]:
    """The batch files of a split, if some folder has them all."""
    for home in folders("cifar10"):
        for folder in (home, home / INSIDE):
            paths = [folder / name for name in BATCHES[split]]
            if all(path.is_file() for path in paths):
                return paths
    return []


def _archive() -> Path | None:
    paths = (folder / ARCHIVE.name for folder in folders("cifar10"))
    return next((path for path in paths if path.is_file()), None)


def _unpack(archive: Path, split: str) -> list[Path]:
    """Copy the six batch files into the cache, by their known names: no path in the archive is ever used."""
    home = cache_folder("cifar10")
    wanted = {f"{INSIDE}/{name}": home / name for names in BATCHES.values() for name in names}
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                target = wanted.pop(member.name, None)
                if target is None:
                    continue
                stream = tar.extractfile(member) if member.isreg() and member.size == RECORD * RECORDS else None
                if stream is None:
                    raise DataError(f"{archive}: {member.name} is not a file of {RECORD * RECORDS} bytes")
                part = home / f".{target.name}.{uuid.uuid4().hex}.part"
                try:
                    with part.open("wb") as file:
                        shutil.copyfileobj(stream, file)
                    os.replace(part, target)
                finally:
                    part.unlink(missing_ok=True)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked into {home}: {error}") from error
    if wanted:
        raise DataError(f"{archive} lacks {', '.join(wanted)}; fetch it again")
    return [home / name for name in BATCHES[split]]


def _read(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    if path.stat().st_size != RECORD * RECORDS:
        raise DataError(f"{path} has {path.stat().st_size} bytes; expected {RECORD * RECORDS}: truncated or corrupt")
    records = np.fromfile(path, dtype=np.uint8).reshape(RECORDS, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise DataError(f"{path} holds label {records[:, 0].max()}; expected 0 to {len(CLASSES) - 1}")
    return records


SOURCE = Source("cifar10", load, info, aliases=("cifar_10",))
