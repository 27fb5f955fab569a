"""`mnist` and `fashion_mnist`: four IDX files each, from `$SPARRING_DATA/<name>/`, the cache, or a mirror.

Each file may be plain or gzipped. Downloads are held to their published size and SHA-256; a file that you
put there yourself may be packed in any way, so it is held to its structure instead: magic number, dimensions,
exact length, label range.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from sparring.data.download import DownloadError, Remote, download
from sparring.data.errors import DataError
from sparring.data.idx import read_idx
from sparring.data.images import ImageData
from sparring.data.places import cache_folder, folders
from sparring.data.registry import DataInfo, Options, Source, check_split


@dataclass(frozen=True)
class IdxSet:
    """A data set in MNIST's format: [1, 28, 28] grey images in ten classes, 60,000 train and 10,000 test."""

    name: str
    about: str
    classes: tuple[str, ...]
    mirrors: tuple[str, ...]
    files: dict[str, tuple[Remote, Remote]]
    """(images, labels) of each split."""
    pause: float = 1.0
    """Seconds between two rounds of the mirrors."""

    def load(self, argument: str, split: str, options: Options) -> ImageData:
        """The images of a split in the order of the file. Raises DataError: missing or damaged."""
        check_split(self.name, split)
        images_path, labels_path = self._paths(split)
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        if images.shape[1:] != (28, 28):
            raise DataError(f"{images_path} holds images of {images.shape[1:]} pixels; expected (28, 28)")
        if len(images) != len(labels):
            raise DataError(f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels")
        if labels.max() >= len(self.classes):
            raise DataError(f"{labels_path} holds label {labels.max()}; expected 0 to {len(self.classes) - 1}")
        x, y = torch.from_numpy(images).unsqueeze(1), torch.from_numpy(labels)
        return ImageData(x, y, classes=self.classes, name=self.name, split=split)

    def info(self) -> DataInfo:
        """What `sparring data` shows."""
        remotes = [remote for pair in self.files.values() for remote in pair]
        found = {remote.name: self._find(remote) for remote in remotes}
        here = [path for path in found.values() if path is not None]
        missing = sum(remote.size for remote in remotes if found[remote.name] is None)
        return DataInfo(
            name=self.name,
            about=self.about,
            shape=(1, 28, 28),
            classes=len(self.classes),
            splits={"train": 60_000, "test": 10_000},
            offline=tuple(split for split, pair in self.files.items() if all(found[r.name] for r in pair)),
            place=str(here[0].parent if here else cache_folder(self.name)),
            bytes=missing + sum(path.stat().st_size for path in here),
        )

    def _find(self, remote: Remote) -> Path | None:
        plain = remote.name.removesuffix(".gz")
        for folder in folders(self.name):
            for path in (folder / plain, folder / remote.name):
                if path.is_file():
                    return path
        return None

    def _paths(self, split: str) -> tuple[Path, Path]:
        images, labels = self.files[split]
        try:
            return self._get(images), self._get(labels)
        except DownloadError as error:
            home = folders(self.name)[0]
            raise DataError(
                f"{self.name} ({split}) is not on this machine and {error}. Without a network, put "
                f"{home / images.name} and {home / labels.name} there yourself (.gz or unpacked; set "
                f"SPARRING_DATA to look for {self.name}/ elsewhere), or use mnist5k, which needs no network"
            ) from error

    def _get(self, remote: Remote) -> Path:
        return self._find(remote) or download(remote, self.mirrors, cache_folder(self.name), pause=self.pause)


MNIST = IdxSet(
    name="mnist",
    about="handwritten digits, 28 x 28 grey",
    classes=tuple("0123456789"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
    files={
        "train": (
            Remote(
                "train-images-idx3-ubyte.gz",
                9_912_422,
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            ),
            Remote(
                "train-labels-idx1-ubyte.gz",
                28_881,
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            ),
        ),
        "test": (
            Remote(
                "t10k-images-idx3-ubyte.gz",
                1_648_877,
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            ),
            Remote(
                "t10k-labels-idx1-ubyte.gz",
                4_542,
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    },
)

FASHION_MNIST = IdxSet(
    name="fashion_mnist",
    about="clothes, 28 x 28 grey",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    ),
    files={
        "train": (
            Remote(
                "train-images-idx3-ubyte.gz",
                26_421_880,
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            ),
            Remote(
                "train-labels-idx1-ubyte.gz",
                29_515,
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            ),
        ),
        "test": (
            Remote(
                "t10k-images-idx3-ubyte.gz",
                4_422_102,
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            Remote(
                "t10k-labels-idx1-ubyte.gz",
                5_148,
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    },
)

MNIST_SOURCE = Source("mnist", MNIST.load, MNIST.info)
FASHION_MNIST_SOURCE = Source(
    "fashion_mnist", FASHION_MNIST.load, FASHION_MNIST.info, aliases=("fmnist", "fashionmnist", "fashion")
)
