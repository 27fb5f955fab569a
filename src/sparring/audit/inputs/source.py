"""The images of an audit, a stretch at a time: what can be read in parts is never all in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from sparring.class_numbers import integers
from sparring.data.class_names import by_name
from sparring.errors import InputError
from sparring.model import check_labels


class HasTensors(Protocol):
    """What `sparring.data` gives: images that can be asked for as tensors."""

    def tensors(self) -> tuple[Tensor, Tensor]: ...


Data = tuple[Tensor, Tensor] | HasTensors | Iterable[tuple[Tensor, Tensor]]


class Source:
    """The first `n` images of anything that holds or gives them; `len(source)` of them.

    An `ImageData` is read as it is needed; what only gives batches (a DataLoader) is gathered once.

    Attributes:
        name, split, classes: what is known of the data.

    Args:
        classes: the names of the model's classes: where both sides have names, labels are matched by name.

    Raises:
        InputError: no images, or not the shape of images and labels.
    """

    def __init__(self, data: Data, n: int | None = None, classes: Sequence[str] | None = None) -> None:
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise InputError(f"n is {n}; it must be a whole number, at least one image is needed")
        if data is None or isinstance(data, str | bytes | int | float):
            raise InputError(
                f"the data is {data!r}; pass (x, y), a DataLoader, or images of sparring.data (sp.load_data)"
            )
        self.name: str = getattr(data, "name", "tensors")
        self.split: str | None = getattr(data, "split", None)
        self.classes: Any = getattr(data, "classes", None)
        numbers = by_name(self.classes if isinstance(self.classes, list | tuple) else None, classes)
        self._numbers = None if numbers is None else torch.tensor(numbers)
        self.classes = self.classes if numbers is None else classes
        lazy: Any = data if _readable_in_parts(data) else None
        self._lazy = lazy
        self._x, self._y = (torch.zeros(0), torch.zeros(0)) if lazy is not None else gather(data, n)
        held = len(self._y) if lazy is None else len(lazy)
        if not held:
            raise InputError("there are no images to audit; the data is empty")
        self._n = held if n is None else min(n, held)

    def __len__(self) -> int:
        return self._n

    def part(self, start: int, stop: int) -> tuple[Tensor, Tensor]:
        """Images and labels from number `start` to before `stop`, at most to the end."""
        stop = min(stop, self._n)
        if self._lazy is None:
            x, y = self._x[start:stop], self._y[start:stop]
        else:
            x, y = self._lazy.subset(range(start, stop)).tensors()
        x, y = torch.as_tensor(x), integers(y)
        if self._numbers is None:
            return x, y
        y = check_labels(y, len(x), len(self._numbers))
        return x, self._numbers[y]


def _readable_in_parts(data: Any) -> bool:
    return all(callable(getattr(data, name, None)) for name in ("subset", "tensors", "__len__"))


def _pixels(x: Any) -> Tensor:
    try:
        return torch.as_tensor(x).detach().cpu()
    except (RuntimeError, TypeError, ValueError):
        raise InputError(
            f"the images are a {type(x).__module__}.{type(x).__name__}, which is no array; give tensors (for pictures, "
            "the data set's transform=ToTensor())"
        ) from None


def gather(data: Data, n: int | None) -> tuple[Tensor, Tensor]:
    """The first `n` images and labels as two tensors on the CPU, from anything that holds or gives them."""
    source: Any = data
    tensors = getattr(data, "tensors", None)
    if callable(tensors):
        source = tensors()
    elif isinstance(tensors, tuple):  # a TensorDataset
        source = tensors
    alone = isinstance(source, tuple) and len(source) == 2 and hasattr(source[0], "__array__")
    xs: list[Tensor] = []
    ys: list[Tensor] = []
    count = 0
    try:
        pairs = [source] if alone else iter(source)
    except TypeError:
        raise InputError(f"the data is a {type(data).__name__}; pass (x, y) or an iterable of such batches") from None
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(
                f"the data gives a {type(pair).__name__}; batches (x, y) are needed, x float [B, ...], y [B]"
            )
        x, y = _pixels(pair[0]), integers(pair[1]).cpu()
        if y.dim() == 0:  # a data set that gives one image at a time
            x, y = x[None], y[None]
        if x.dim() < 2 or len(x) != len(y):
            raise InputError(
                f"a batch has images of shape {tuple(x.shape)} and labels of shape {tuple(y.shape)}; give x [B, ...] "
                "and one label for each image"
            )
        if xs and (x.shape[1:], x.dtype) != (xs[0].shape[1:], xs[0].dtype):
            raise InputError(
                f"images of {tuple(xs[0].shape[1:])}, {xs[0].dtype}, and of {tuple(x.shape[1:])}, {x.dtype}, cannot be "
                "audited together; give all of them one size and type"
            )
        xs.append(x)
        ys.append(y)
        count += len(x)
        if n is not None and count >= n:
            break
    if not count:
        raise InputError("there are no images to audit; the data is empty")
    return torch.cat(xs)[:n], torch.cat(ys)[:n]
