"""One picture, one attack: what the page of attacks shows. No Gradio here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sparring.attacks import attack as made
from sparring.data import load_data
from sparring.data.pictures import Recipe, read_picture
from sparring.defenses import defend
from sparring.errors import InputError
from sparring.model import Model
from sparring.result import Result
from sparring.threat import Goal, Targeted, Threat, Untargeted
from sparring.zoo import load_model
from sparring.zoo.loaders import SCHEMES

SAMPLES = "mnist5k"
LARGE = 280
"pixels of the longer side of a picture as it is shown"
TOP = 5


@dataclass(frozen=True)
class Seen:
    """What came of it.

    Attributes:
        clean, change, adversarial: pictures to be shown; `change` is grey where nothing changed, scaled to its largest.
        before, after: probability by class name, the largest first.
        sentence: what happened. margins: (forward passes, margin) of every point that was judged.
    """

    clean: Image.Image
    change: Image.Image
    adversarial: Image.Image
    before: dict[str, float]
    after: dict[str, float]
    sentence: str
    margins: tuple[tuple[int, float], ...]


@lru_cache(maxsize=4)
def load(spec: str, defense: str, trust: bool) -> Model:
    """The model of a spec, with its defense stages ("" = none); without `trust`, no spec that names code.

    Raises:
        InputError: the spec would run code, or is none.
    """
    scheme, colon, _ = spec.partition(":")
    if colon and scheme not in SCHEMES and not trust:
        raise InputError(f"{spec} is code; it runs only if the page was started with --trust")
    model = load_model(spec, trust=trust)
    return defend(model, defense) if defense else model


def sample(number: int) -> tuple[Tensor, int]:
    """A digit that comes with the package: [1, C, H, W] and its label."""
    x, y = _samples()
    return x[number : number + 1], int(y[number])


def uploaded(path: str, model: Model) -> Tensor:
    """A picture from a file, in the colours and the size that the model takes: [1, C, H, W].

    Raises:
        SparringError: it is no picture, is too large, or the model takes another kind of input.
    """
    channels, height, width = _input_size(model)
    if height != width:
        raise InputError(f"the model takes pictures of {height} x {width}; the page shows square ones only")
    picture = read_picture(Path(path), Recipe(gray=channels == 1, size=height)).float()
    if picture.max() > 1:
        picture = picture / 255
    return picture[None]


def drawn(strokes: np.ndarray[Any, Any], model: Model) -> Tensor:
    """A digit from a drawing [H, W, 4] with dark strokes: white on black, centred like the digits of MNIST."""
    _, height, width = _input_size(model)
    ink = strokes[..., 3].astype(np.float32) if strokes.ndim == 3 else 255.0 - strokes.astype(np.float32)
    if ink.max() <= 0:
        raise InputError("the drawing is empty; draw a digit first")
    rows, columns = np.nonzero(ink > ink.max() / 4)
    cut = Image.fromarray(ink[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].astype(np.uint8))
    scale = 20 / max(cut.size)
    small = cut.resize((max(1, round(cut.width * scale)), max(1, round(cut.height * scale))), Image.Resampling.BOX)
    page = Image.new("L", (width, height))
    page.paste(small, ((width - small.width) // 2, (height - small.height) // 2))
    x = torch.from_numpy(np.array(page)).float()
    return (x / x.max())[None, None]


def attack(
    model: Model, x: Tensor, label: int | None, spec: str, threat: Threat, target: int | None = None, seed: int = 0
) -> Seen:
    """Attack one picture.

    Args:
        x: [1, C, H, W]. label: its class; None = what the model says. target: the class to reach; None = any other.

    Raises:
        SparringError: the attack, threat or target does not fit; one line says why.
    """
    with torch.no_grad():
        clean = model(x).cpu()
    y = torch.tensor([int(clean.argmax()) if label is None else label])
    if target is not None and target == int(y):
        raise InputError(f"class {target} is what the picture is; choose another target")
    goal: Goal = Untargeted(y) if target is None else Targeted(torch.tensor([target]), y)
    result = made(spec)(model, x, goal, threat, seed=seed, trace=True)
    with torch.no_grad():
        fooled = model(result.x_adv).cpu()
    return Seen(
        picture(x[0], model.box),
        picture(_centred(result.x_adv[0].cpu() - x[0]), (0.0, 1.0)),
        picture(result.x_adv[0], model.box),
        top(clean[0], model),
        top(fooled[0], model),
        _sentence(model, result, clean, fooled, y, target),
        _margins(result),
    )


def top(logits: Tensor, model: Model) -> dict[str, float]:
    """The most probable classes by name."""
    shares = logits.softmax(0)
    order = shares.argsort(descending=True)[:TOP].tolist()
    return {name(k, model): float(shares[k]) for k in order}


def name(k: int, model: Model) -> str:
    """A class by its first name."""
    return str(k) if model.classes is None else str(model.classes[k]).split(",")[0]


def picture(x: Tensor, box: tuple[float, float]) -> Image.Image:
    """[C, H, W] as a picture that is large enough to see its pixels."""
    low, high = box
    scaled = ((x.cpu().float() - low) / (high - low)).clamp(0, 1)
    data = (scaled * 255).round().byte().movedim(0, -1).numpy()
    image = Image.fromarray(data[..., 0] if data.shape[-1] == 1 else data)
    factor = max(1, round(LARGE / max(image.size)))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def _centred(change: Tensor) -> Tensor:
    return change / change.abs().max().clamp(min=1e-12) / 2 + 0.5


def _sentence(model: Model, result: Result, clean: Tensor, fooled: Tensor, y: Tensor, target: int | None) -> str:
    before, after = name(int(clean.argmax()), model), name(int(fooled.argmax()), model)
    cost = f"{int(result.queries)} forward and {int(result.gradients)} backward passes"
    if not bool(result.clean_correct) and target is None:
        return f"The model takes the clean picture for {before}, not {name(int(y), model)}: no attack is needed."
    if bool(result.success):
        return f"Fooled: {before} becomes {after}, at distance {float(result.distance):.4g} ({result.threat}), {cost}."
    return f"Not fooled: it still says {after}, after {cost}. Another attack, or more steps, may succeed."


def _margins(result: Result) -> tuple[tuple[int, float], ...]:
    trace = result.trace
    if trace is None:
        return ()
    pairs = zip(trace.query[:, 0].tolist(), trace.margin[:, 0].tolist(), strict=True)
    return tuple((int(query), float(margin)) for query, margin in pairs if margin == margin)


@lru_cache(maxsize=1)
def _samples() -> tuple[Tensor, Tensor]:
    x, y = load_data(SAMPLES, n=1000).tensors()
    return x, y


def _input_size(model: Model) -> tuple[int, int, int]:
    size = model.input_size
    if size is None or len(size) != 3:
        raise InputError("the model does not say which pictures it takes; use a sample")
    channels, height, width = size
    return channels, height, width
