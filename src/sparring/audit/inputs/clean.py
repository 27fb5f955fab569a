"""The first look: data into tensors, the model's answers to clean images, the refusal of what makes no sense."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.audit.inputs.source import Source
from sparring.audit.statistics.proportion import Figure, percent, wilson
from sparring.errors import InputError, OutputError
from sparring.model import Model, check_labels

KEPT = 256
"images that are kept in any case, for probes and for the search for the cause of a low accuracy"


@dataclass(frozen=True)
class Clean:
    """Images and what the model says of them before any attack.

    Attributes:
        x: [M, ...] as the model takes them, on the CPU: all, or, where the N images are too many to be held, the first.
        y: [N]. logits: [N, K]. prediction, correct: [N].
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


def look(model: Model, source: Source, batch_size: int, stretch: int, subset: int) -> tuple[Clean, str, list[str]]:
    """Show all images to the model once, `stretch` at a time.

    Args:
        subset: images that the model gets right are kept until there are this many, all others are let go of.

    Returns:
        Labels and answers of all images, with the pixels of the first ones only; SHA-256 of all (`data_sha256`), and of
        each stretch.

    Raises:
        InputError: labels out of range, pixels outside the box.
        OutputError: the model's answers are no logits.
    """
    pixels, labels, logits, right, shas = [], [], [], 0, []
    whole = hashlib.sha256()
    with model.guard(), torch.no_grad():
        for start in range(0, len(source), stretch):
            x, y = source.part(start, start + stretch)
            taken, answers = _shown(model, x, batch_size)
            y = check_labels(y, len(x), answers.shape[1])
            feed(whole, taken, y)
            shas.append(data_sha256(taken, y))
            if right < subset or start < KEPT:
                pixels.append(taken)
            right += int((answers.argmax(1) == y).sum())
            labels.append(y)
            logits.append(answers)
    clean = Clean(torch.cat(pixels), torch.cat(labels), torch.cat(logits), *known(model, source, logits[0].shape[1]))
    return clean, whole.hexdigest(), shas


def _shown(model: Model, x: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    """The images as the model takes them, and its logits, on the CPU."""
    taken_all, logits = [], []
    for part in torch.split(x, batch_size):
        taken = model.accept(part)
        raw = model.raw(taken)
        model.inspect(raw, taken)
        taken_all.append(taken.cpu())
        logits.append(model.read(raw).float().cpu())
        if len(logits[-1]) != len(part):
            raise OutputError(f"the model gave {len(logits[-1])} answers to {len(part)} images")
    return torch.cat(taken_all), torch.cat(logits)


def known(model: Model, source: Source, classes: int) -> tuple[str, str | None, tuple[str, ...] | None]:
    """What is known of the data: name, split, class names."""
    names = model.classes or source.classes
    class_names = tuple(map(str, names)) if names is not None and len(names) >= classes else None
    return source.name, source.split, class_names


def feed(digest: hashlib._Hash, x: Tensor, y: Tensor) -> None:
    """Add label, shape and float32 pixels of each image to a digest, in order (as `ImageData.fingerprint`)."""
    for image, label in zip(x, y.tolist(), strict=True):
        digest.update(f"{label} {tuple(image.shape)} ".encode())
        digest.update(image.float().contiguous().numpy().astype("<f4", copy=False).tobytes())


def data_sha256(x: Tensor, y: Tensor) -> str:
    """SHA-256 of images and their labels, see `feed`."""
    digest = hashlib.sha256()
    feed(digest, x, y)
    return digest.hexdigest()


def refuse_chance(model: Model, clean: Clean, floor: float | None) -> None:
    """Refuse a model that is no better than chance on clean images: whatever came out would mean nothing.

    Criterion, unless `floor` says otherwise: accuracy at or below min(2/K, 1/K + 0.1 (1 - 1/K)), or below one half
    while its 95 % Wilson interval reaches down to 1/K.

    Raises:
        InputError: with the likely cause, found out by trying.
    """
    seen, chance = clean.accuracy, 1 / clean.classes
    if by_chance(clean) if floor is None else seen.value < floor:
        wanted = f"chance is {percent(chance)}" if floor is None else f"at least {percent(floor)} is asked for"
        raise InputError(
            f"clean accuracy is {percent(seen.value)} ({seen.hits} of {seen.of}), {wanted}: no attack is needed, "
            f"and no robustness can be measured; {likely_cause(model, clean)}"
        )


def by_chance(clean: Clean) -> bool:
    """The accuracy on clean images may be luck, see `refuse_chance`."""
    seen, chance = clean.accuracy, 1 / clean.classes
    low = min(2 * chance, chance + 0.1 * (1 - chance))
    return seen.value <= low or (seen.value < 0.5 and wilson(seen.hits, seen.of)[0] <= chance)


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
    for shift, text in other_scales(model, x):
        with model.guard(), torch.no_grad():
            try:
                raw = model.answer(shift.to(model.device or shift.device))
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


def other_scales(model: Model, x: Tensor) -> list[tuple[Tensor, str]]:
    """The images [N, ...] in other ranges, which a net may have been trained for, and words that name each."""
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
