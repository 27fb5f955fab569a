"""`ImageData`: labelled images as a torch `Dataset`, whether they sit in memory or are decoded on demand."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sparring.class_numbers import integers
from sparring.data.class_names import by_name, synset_numbers
from sparring.data.pixels import Images, OverlaidImages, Rereadable, TensorImages
from sparring.errors import InputError
from sparring.seeds import torch_seed, whole_seed

CHUNK = 256  # images held at once while a whole data set is read through


class ImageData(Dataset[tuple[Tensor, int]]):
    """Labelled images: `data[i]` is `(x, label)`, x float32 [C, H, W] in [0, 1], label an int.

    Args:
        images: a tensor [N, C, H, W] (uint8 0..255, or float in [0, 1]) or anything that is `Images`.
        labels: N integers from 0 to K - 1.
        classes: the K class names; default "0", "1", ... up to the largest label.
        name, split: what the reports call it.
        paths: the file behind each image, where there is one.

    Raises:
        InputError: shapes, types or values that do not fit; the message says which and how.
    """

    def __init__(
        self,
        images: Tensor | Images,
        labels: Tensor | Sequence[int],
        *,
        classes: Sequence[str] | None = None,
        name: str = "tensors",
        split: str = "all",
        paths: Sequence[Path] | None = None,
    ) -> None:
        source: Images = TensorImages(images) if isinstance(images, Tensor) else images
        self.labels = _labels(labels, len(source))
        """int64 [N]."""
        top = int(self.labels.max()) if len(self.labels) else -1
        self.classes = tuple(str(k) for k in range(top + 1)) if classes is None else tuple(classes)
        if top >= len(self.classes):
            raise InputError(f"{name} has label {top}, but only {len(self.classes)} classes")
        if paths is not None and len(paths) != len(source):
            raise InputError(f"{name} has {len(source)} images, but {len(paths)} paths")
        self.name = name
        self.split = split
        self.paths = None if paths is None else tuple(paths)
        self._images = source
        self._rows = torch.arange(len(source))  # rows of the source, so that a subset copies no pixels

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"{self.name} has {len(self)} images; there is no number {i}")
        return self._batch(self._rows[[i]])[0], int(self.labels[i])

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """Many samples at once: torch's `DataLoader` calls this, and one gather beats one each."""
        return _samples(self._batch(self._rows[indices]), self.labels[indices])

    def __iter__(self) -> Iterator[tuple[Tensor, int]]:
        for start in range(0, len(self), CHUNK):
            piece = slice(start, start + CHUNK)
            yield from _samples(self._batch(self._rows[piece]), self.labels[piece])

    def __repr__(self) -> str:
        about = f"{len(self)} images, {len(self.classes)} classes"
        return f"ImageData({self.name!r}, split={self.split!r}, {about})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return self._images.shape

    def tensors(self) -> tuple[Tensor, Tensor]:
        """All of it in memory: x float32 [N, C, H, W] in [0, 1], y int64 [N]."""
        return self._batch(self._rows), self.labels.clone()

    def loader(self, batch_size: int = 128, shuffle: bool = False, seed: int = 0) -> DataLoader[tuple[Tensor, int]]:
        """Batches (x float32 [B, C, H, W], y int64 [B]); the last one may be smaller.

        With `shuffle`, each pass over the same loader has another order, and the same seed gives the same
        sequence of orders. The global random state is neither read nor changed.
        """
        if batch_size < 1:
            raise InputError(f"batch size {batch_size}; expected at least 1")
        # Without a generator of its own, a DataLoader draws from the global one even if it does not shuffle.
        return DataLoader(
            self, batch_size, shuffle=shuffle, generator=torch.Generator().manual_seed(torch_seed(whole_seed(seed)))
        )

    def first(self, n: int) -> ImageData:
        """The first n images. Raises InputError unless 1 <= n <= len."""
        if not 1 <= n <= len(self):
            raise InputError(f"asked for the first {n} of {self.name} ({self.split}), which has {len(self)}")
        return self.subset(torch.arange(n))

    def subset(self, indices: Sequence[int] | Tensor) -> ImageData:
        """The images at `indices` (from 0, or a boolean mask [N]), in that order; the pixels are shared."""
        chosen = torch.as_tensor(indices).detach().cpu()
        if chosen.dtype == torch.bool and chosen.shape == (len(self),):
            chosen = chosen.nonzero().flatten()
        if chosen.numel() == 0:
            chosen = chosen.to(torch.int64)
        if chosen.ndim != 1 or chosen.dtype == torch.bool or chosen.dtype.is_floating_point:
            raise InputError(
                f"indices are {chosen.dtype} {list(chosen.shape)}; expected integers, or a mask [{len(self)}]"
            )
        bad = chosen[(chosen < 0) | (chosen >= len(self))]
        if len(bad):
            raise InputError(f"{self.name} has {len(self)} images, numbered from 0; got index {int(bad[0])}")
        part = object.__new__(ImageData)
        part.__dict__.update(self.__dict__)
        part.labels, part._rows = self.labels[chosen], self._rows[chosen]
        part.paths = None if self.paths is None else tuple(self.paths[i] for i in chosen.tolist())
        return part

    def named_as(self, classes: Sequence[str] | None) -> ImageData:
        """The same images, each under the number that its class has among `classes`, a model's; see `by_name`.

        Raises:
            InputError: the names differ; with both lists.
        """
        numbers = by_name(self.classes, classes)
        if numbers is None or classes is None:
            return self
        part = self.subset(torch.arange(len(self)))
        part.labels, part.classes = torch.tensor(numbers)[self.labels], tuple(classes)
        if len(part) and int(part.labels.min()) < 0:
            nameless = int(self.labels[part.labels.argmin()])
            raise InputError(f"{self.name} has class {nameless} without a name, and others that the model numbers anew")
        return part

    def coded_for(self, columns: int) -> ImageData:
        """The same images for a model of so many classes, without names: WordNet's codes get ImageNet's numbers."""
        numbers = synset_numbers(self.classes, columns)
        if numbers is None:
            return self
        part = self.subset(torch.arange(len(self)))
        called = dict(zip(numbers, self.classes, strict=True))
        part.labels = torch.tensor(numbers)[self.labels]
        part.classes = tuple(called.get(k, str(k)) for k in range(columns))
        return part

    @property
    def chosen(self) -> frozenset[str] | None:
        """Of pictures in files: the options by which the user said how to read them. None = there is nothing to say."""
        return self._images.chosen if isinstance(self._images, Rereadable) else None

    def sizes(self) -> list[tuple[int, int]]:
        """(height, width) as the files say, where images are such, up to the first that differs from the others.

        Raises:
            DataError: a file cannot be read.
        """
        assert isinstance(self._images, Rereadable)
        return self._images.sizes(self._rows)

    def reread(self, **changes: int | bool) -> ImageData:
        """The same pictures, read from their files by another recipe: size=28, gray=True. See `pictures.Recipe`."""
        assert isinstance(self._images, Rereadable)
        part = self.subset(torch.arange(len(self)))
        part._images = self._images.reread(**changes)
        return part

    def replaced(self, rows: Tensor, *, images: Tensor | None = None, labels: Tensor | None = None) -> ImageData:
        """A view of this data set with other images or labels at some places; the rest is shared, not copied.

        Args:
            rows: int64 [M], the places. images: float [M, C, H, W] in [0, 1], kept in 8 bits as in a picture file.
            labels: int64 [M], classes of this data set.

        Raises:
            InputError: a label that is no class, or images of another shape.
        """
        part = self.subset(torch.arange(len(self)))
        if labels is not None:
            if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < len(self.classes):
                raise InputError(f"the new labels span {int(labels.min())} to {int(labels.max())}; {self.name} has "
                                 f"classes 0 to {len(self.classes) - 1}")  # fmt: skip
            part.labels = self.labels.clone()
            part.labels[rows] = labels.to(torch.int64)
        if images is not None:
            part._images = OverlaidImages(self._images, self._rows, rows, images.mul(255).round().to(torch.uint8))
            part._rows = torch.arange(len(self))
        return part

    def without(self, other: ImageData) -> ImageData:
        """This data set less every image that is, rounded to 8 bits, identical to one in `other`.

        Labels play no part. Use it to keep test images out of training data that come from elsewhere.
        """
        forbidden = {_eight_bits(x) for x, _ in other}
        return self.subset([i for i, (x, _) in enumerate(self) if _eight_bits(x) not in forbidden])

    def fingerprint(self) -> str:
        """SHA-256 over each label, shape and float32 image in order: the same on every platform.

        Names, paths, splits and how the images are stored play no part.
        """
        digest = hashlib.sha256()
        for x, label in self:
            digest.update(f"{label} {tuple(x.shape)} ".encode())
            digest.update(x.numpy().astype("<f4", copy=False).tobytes())
        return digest.hexdigest()

    def _batch(self, rows: Tensor) -> Tensor:
        x = self._images[rows]
        return x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x


def _samples(x: Tensor, labels: Tensor) -> list[tuple[Tensor, int]]:
    return list(zip(x.unbind(), labels.tolist(), strict=True))


def _eight_bits(x: Tensor) -> bytes:
    return f"{tuple(x.shape)}".encode() + x.mul(255).round_().to(torch.uint8).numpy().tobytes()


def _labels(labels: Tensor | Sequence[int], n: int) -> Tensor:
    y = integers(labels).cpu()
    if y.ndim != 1 or len(y) != n:
        raise InputError(f"labels have shape {list(y.shape)}; expected [{n}], one for each image")
    if n and (y.dtype.is_floating_point or y.dtype.is_complex or y.dtype == torch.bool):
        raise InputError(f"labels are {y.dtype}; expected integers")
    if n and int(y.min()) < 0:
        raise InputError(f"label {int(y.min())}; labels start at 0")
    return y.to(torch.int64)
