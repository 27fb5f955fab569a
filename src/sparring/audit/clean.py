"""The first look: data into tensors, the model's answers to clean images, the refusal of what makes no sense."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sparring.audit.intervals import Figure, percent, wilson
from sparring.batches import batches
from sparring.errors import InputError, OutputError
from sparring.model import Model, check_labels


class HasTensors(Protocol):
    """What `sparring.data` gives: images that can be asked for as tensors."""

    def tensors(self) -> tuple[Tensor, Tensor]: ...


Data = tuple[Tensor, Tensor] | HasTensors | Iterable[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Clean:
    """The images and what the model says of them before any attack.

    Attributes:
        x: [N, ...] as the model takes them, on the CPU. y: [N]. logits: [N, K]. prediction, correct: [N].
        name, split, class_names: what is known of the data.
    """

    x: Tensor
    y: Tensor
    logits: Tensor
    name: str = "tensors"
    split: str | None = None
    class_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.y)

    @property
    def classes(self) -> int:
        return self.logits.shape[1]

    @property
    def prediction(self) -> Tensor:
        return self.logits.argmax(1)

    @property
    def correct(self) -> Tensor:
        return self.prediction == self.y

    @property
    def accuracy(self) -> Figure:
        return Figure(int(self.correct.sum()), len(self))


def look(model: Model, data: Data, n: int | None, batch_size: int) -> Clean:
    """Gather the data and show it to the model once.

    Raises:
        InputError: no images, labels out of range, pixels outside the box.
        OutputError: the model's answers are no logits.
    """
    x, y = gather(data, n)
    taken_all, logits = [], []
    with model.guard(), torch.no_grad():
        for part, _ in batches((x, y), batch_size):
            taken = model.accept(part)
            raw = model.raw(taken)
            model.inspect(raw, taken)
            taken_all.append(taken.cpu())
            logits.append(model.read(raw).float().cpu())
            if len(logits[-1]) != len(part):
                raise OutputError(f"the model gave {len(logits[-1])} answers to {len(part)} images")
    answers = torch.cat(logits)
    y = check_labels(y, len(x), answers.shape[1])
    name, split = getattr(data, "name", "tensors"), getattr(data, "split", None)
    names = model.classes or getattr(data, "classes", None)
    told = tuple(map(str, names)) if names is not None and len(names) >= answers.shape[1] else None
    return Clean(torch.cat(taken_all), y, answers, name, split, told)


def gather(data: Data, n: int | None) -> tuple[Tensor, Tensor]:
    """The first `n` images and labels as two tensors on the CPU, from anything that holds or gives them."""
    if n is not None and n < 1:
        raise InputError(f"n is {n}; at least one image is needed")
    source: Any = data
    tensors = getattr(data, "tensors", None)
    if callable(tensors):
        first = getattr(data, "first", None)
        source = first(n).tensors() if first is not None and n is not None and n < _length(data) else tensors()
    elif isinstance(tensors, tuple):  # a TensorDataset
        source = tensors
    alone = isinstance(source, tuple) and len(source) == 2 and hasattr(source[0], "__array__")
    xs, ys, count = [], [], 0
    for pair in [source] if alone else source:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InputError(
                f"the data gives a {type(pair).__name__}; batches (x, y) are needed, x float [B, ...], y [B]"
            )
        x, y = (torch.as_tensor(part).detach().cpu() for part in pair)
        if y.dim() == 0:  # a data set that gives one image at a time
            x, y = x[None], y[None]
        if x.dim() < 2 or len(x) != len(y):
            raise InputError(
                f"a batch has images of shape {tuple(x.shape)} and labels of shape {tuple(y.shape)}; give x [B, ...] "
                "and one label for each image"
            )
        xs.append(x)
        ys.append(y)
        count += len(x)
        if n is not None and count >= n:
            break
    if not count:
        raise InputError("there are no images to audit; the data is empty")
    return torch.cat(xs)[:n], torch.cat(ys)[:n]


def _length(data: Any) -> int:
    return len(data) if hasattr(data, "__len__") else 2**62


def refuse_chance(model: Model, clean: Clean, floor: float | None) -> None:
    """Refuse a model that is no better than chance on clean images: whatever came out would mean nothing.

    Criterion, unless `floor` says otherwise: accuracy at or below min(2/K, 1/K + 0.1 (1 - 1/K)), or below one half
    while its 95 % Wilson interval reaches down to 1/K.

    Raises:
        InputError: with the likely cause, found out by trying.
    """
    seen, chance = clean.accuracy, 1 / clean.classes
    if floor is None:
        low = min(2 * chance, chance + 0.1 * (1 - chance))
        refused = seen.value <= low or (seen.value < 0.5 and wilson(seen.hits, seen.of)[0] <= chance)
    else:
        refused = seen.value < floor
    if refused:
        wanted = f"chance is {percent(chance)}" if floor is None else f"at least {percent(floor)} is asked for"
        raise InputError(
            f"clean accuracy is {percent(seen.value)} ({seen.hits} of {seen.of}), {wanted}: no attack is needed, "
            f"and no robustness can be measured; {likely_cause(model, clean)}"
        )


def likely_cause(model: Model, clean: Clean) -> str:
    """Why the clean accuracy may be this low, by trying the usual mistakes on at most 256 images."""
    x, y, prediction = clean.x[:256], clean.y[:256], clean.prediction[:256]
    bar = max(0.5, 3 * clean.accuracy.value)
    table = torch.zeros(clean.classes, clean.classes)
    table.index_put_((prediction, y), torch.ones(len(y)), accumulate=True)
    renamed = float(table.amax(1).sum()) / len(y)
    if len(y) >= 5 * clean.classes and renamed >= bar:
        return (
            f"with its classes renamed it would be right on {percent(renamed)}: the order of the labels differs "
            "between the model and the data"
        )
    for shift, text in _other_scales(model, x):
        with model.guard(), torch.no_grad():
            raw = model.net(shift if model.dtype is None else shift.to(model.device, model.dtype))
            try:
                right = float((model.read(_unpacked(raw)).argmax(1).cpu() == y).double().mean())
            except (OutputError, RuntimeError):
                continue
        if right >= bar:
            return f"{text} it is right on {percent(right)}"
    if bool((prediction == prediction[0]).all()) and bool((y != y[0]).any()):
        return f"the model says class {int(prediction[0])} for every image: wrong weights, or pixels in another range?"
    return "wrong weights, images normalised twice, or labels of another data set?"


def _unpacked(raw: Any) -> Tensor:
    from sparring.outputs import unpack

    return unpack(raw)


def _other_scales(model: Model, x: Tensor) -> list[tuple[Tensor, str]]:
    low, high = model.box
    unit = (x - low) / (high - low)
    mean, std = x.mean(), x.std().clamp(min=1e-6)
    tries = [
        (unit * 255, "on pixels from 0 to 255"),
        (unit * 2 - 1, "on pixels from -1 to 1 (wrap it with mean=0.5, std=0.5)"),
        ((x - mean) / std, "on normalised pixels (give mean= and std=)"),
    ]
    if model.mean is not None or model.std is not None:
        tries.insert(0, (x, "without mean and std (the net normalises by itself, so it happened twice)"))
    return tries
