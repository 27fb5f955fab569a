"""FGSM on photographs: what an ImageNet classifier says before and after, at several eps (report, Figures 2.4
to 2.8).

Nobody has labelled the pictures, so the model's own answer to the clean picture stands for the truth, as in
the report: "fooled" means that the answer changed (untargeted), or that it became the target. The clean
answer is right by construction, so no accuracy can be read from this.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.attacks.gradient.fgsm import FGSM
from sparring.errors import InputError
from sparring.model import Model
from sparring.threat import Goal, Targeted, Threat, Untargeted, parse_eps
from sparring.zoo.imagenet import class_names
from sparring.zoo.photos import Photo

EPSILONS = (0.01, 8 / 255, 0.1, 0.15)  # the report's, and the usual 8/255
LEAST_LIKELY = "least-likely"
FIRST = 1 / 4096
"the smallest eps that is tried, below which no 8-bit pixel moves"


@dataclass(frozen=True)
class Answer:
    """What the model says about a picture: number and name of its top class, and the probability of it."""

    number: int
    label: str
    confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"class": self.number, "label": self.label, "confidence": self.confidence}


@dataclass(frozen=True)
class Shot:
    """One FGSM point.

    Attributes:
        eps: the Linf radius, in pixels of [0, 1]. image: [3, H, W], the adversarial picture.
        answer: what the model says about it. clean_confidence: what is left for the clean picture's class.
        target_confidence: the probability of the target, None without one.
        fooled: the answer is the target; without one, it is not the clean picture's.
    """

    eps: float
    image: Tensor
    answer: Answer
    clean_confidence: float
    target_confidence: float | None
    fooled: bool


@dataclass(frozen=True)
class Row:
    """A picture under one goal, attacked at each eps. `target` is None for the untargeted attack."""

    photo: Photo
    clean: Answer
    target: str | None
    shots: tuple[Shot, ...]
    smallest_eps: float | None = None
    "found by bisection between a doubling grid's last eps that failed and its first that fools; None = none up to 1"

    @property
    def goal(self) -> str:
        """The attack's aim in words."""
        return "untargeted" if self.target is None else f"towards {self.target}"

    def records(self) -> list[dict[str, Any]]:
        """One dict of plain values for each eps."""
        return [
            {
                "picture": self.photo.name,
                "target": self.target,
                "eps": shot.eps,
                "before": self.clean.to_dict(),
                "after": shot.answer.to_dict(),
                "clean_class_confidence_after": shot.clean_confidence,
                "target_confidence_after": shot.target_confidence,
                "fooled": shot.fooled,
                "smallest_eps": self.smallest_eps,
            }
            for shot in self.shots
        ]


def fgsm_imagenet(
    model: Model,
    photos: Sequence[Photo],
    *,
    epsilons: Sequence[float] = EPSILONS,
    target: str = LEAST_LIKELY,
    seed: int = 0,
) -> list[Row]:
    """Attack each photograph with FGSM under Linf, untargeted and then targeted, at each eps in rising order.

    Args:
        target: the class to aim at: "least-likely" on the clean picture, a class name, or a class number.

    Returns:
        Two rows for each photo.

    Raises:
        InputError: no such class, or the model sees the target in the clean picture.
    """
    rows = []
    for photo in photos:
        x = photo.image[None]
        clean = probabilities(model, x)
        names = class_names(model, len(clean))
        truth = int(clean.argmax())
        aim = int(clean.argmin()) if target == LEAST_LIKELY else class_number(target, names)
        if bool((clean == clean[0]).all()):
            raise InputError(f"the model finds all {len(clean)} classes equally likely in {photo.name}: is it trained?")
        if aim == truth:
            raise InputError(f"the model sees {names[aim]!r} in {photo.name} already; choose another target")
        y, t = torch.tensor([truth]), torch.tensor([aim])
        goals: tuple[tuple[str | None, Goal], ...] = ((None, Untargeted(y)), (names[aim], Targeted(t, y)))
        for name, goal in goals:
            way = direction(model, x, goal, seed)
            shots = tuple(_shoot(model, x, way, goal, eps, names) for eps in sorted(set(epsilons)))
            least = smallest_eps(model, x, goal, seed, way)
            rows.append(Row(photo, Answer(truth, names[truth], float(clean[truth])), name, shots, least))
    return rows


def direction(model: Model, x: Tensor, goal: Goal, seed: int = 0) -> Tensor:
    """Where FGSM moves each pixel of one picture [1, 3, H, W]: -1, 0 or 1, and 0 where the box lets it go nowhere.

    It does not depend on eps, so one gradient serves for all of them.
    """
    width = model.box[1] - model.box[0]
    return (FGSM()(model, x, goal, Threat("Linf", width), seed=seed, keep="last").x_adv - x).sign()


def at(model: Model, x: Tensor, way: Tensor, eps: float) -> Tensor:
    """FGSM's point [1, 3, H, W] at an eps."""
    return (x + eps * way).clamp(*model.box)


def smallest_eps(model: Model, x: Tensor, goal: Goal, seed: int = 0, way: Tensor | None = None) -> float | None:
    """The smallest eps at which FGSM reaches the goal on one picture [1, 3, H, W], to a thousandth of itself.

    FGSM may fool at some eps and fail at a larger one: what is found is the end of the first stretch that a grid of
    doubling eps, from `FIRST` on, meets. None = nothing up to eps 1. `way`: see `direction`.
    """
    way = direction(model, x, goal, seed) if way is None else way

    def fools(eps: float) -> bool:
        return bool(goal.hit(probabilities(model, at(model, x, way, eps)).argmax()[None]).item())

    low, high = 0.0, FIRST
    while not fools(high):
        if high >= 1:
            return None
        low, high = high, min(1.0, 2 * high)
    while high - low > high / 1000:
        middle = (low + high) / 2
        low, high = (low, middle) if fools(middle) else (middle, high)
    return high


def by_picture(rows: Sequence[Row], truths: Mapping[str, str]) -> list[dict[str, Any]]:
    """One dict a picture: label and confidence before, at each eps without a target, and the smallest eps.

    Args:
        truths: the true label of a picture by its name, where somebody knows it.
    """
    pictures = []
    for row in rows:
        if row.target is not None:
            continue
        aimed = next((one for one in rows if one.photo.name == row.photo.name and one.target is not None), None)
        truth = truths.get(row.photo.name)
        pictures.append(
            {
                "picture": row.photo.name,
                "label": row.clean.label,
                "confidence": row.clean.confidence,
                "true_label": truth,
                "right": None if truth is None else same_class(truth, row.clean),
                "smallest_eps": row.smallest_eps,
                "target": None if aimed is None else aimed.target,
                "smallest_eps_targeted": None if aimed is None else aimed.smallest_eps,
                "steps": [{"eps": one.eps, **one.answer.to_dict(), "fooled": one.fooled} for one in row.shots],
            }
        )
    return pictures


def same_class(truth: str, said: Answer) -> bool:
    """Is the answer of this class, given by number or by name (its first of several)?"""
    return truth == str(said.number) or _plain(truth.partition(",")[0]) == _plain(said.label)


def _shoot(model: Model, x: Tensor, way: Tensor, goal: Goal, eps: float, names: Sequence[str]) -> Shot:
    image = at(model, x, way, eps)
    after = probabilities(model, image)
    top = int(after.argmax())
    assert goal.y is not None
    return Shot(
        eps,
        image[0],
        Answer(top, names[top], float(after[top])),
        float(after[goal.y]),
        None if goal.t is None else float(after[goal.t]),
        bool(goal.hit(after.argmax()[None])),
    )


def radius(text: str) -> float:
    """An eps as written on the command line: 0.1, 8/255. Raises InputError unless 0 < eps <= 1."""
    eps = parse_eps(text)
    if eps is None or not 0 < eps <= 1:
        raise InputError(f"eps is {text}; FGSM on pixels in [0, 1] needs 0 < eps <= 1")
    return eps


def probabilities(model: Model, x: Tensor) -> Tensor:
    """[K] float64 on the CPU: the softmax of the model's logits for the one picture in `x` [1, 3, H, W]."""
    with model.guard(), torch.no_grad():
        return model.logits(model.accept(x))[0].double().softmax(0).cpu()


def class_number(wanted: str, names: Sequence[str]) -> int:
    """The number of a class given by number or by name (any case, `_` for a space).

    Raises:
        InputError: none or several are called so; the message offers similar names.
    """
    if wanted.isascii() and wanted.isdigit():
        if int(wanted) < len(names):
            return int(wanted)
        raise InputError(f"class {wanted} does not exist; the model has {len(names)} (0..{len(names) - 1})")
    plain = [_plain(name) for name in names]
    found = [number for number, name in enumerate(plain) if name == _plain(wanted)]
    if len(found) > 1:
        raise InputError(f"{len(found)} classes are called {wanted!r}; say the number: {', '.join(map(str, found))}")
    if not found:
        close = [n for n in plain if _plain(wanted) in n][:3] or difflib.get_close_matches(_plain(wanted), plain, 3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise InputError(f"the model has no class called {wanted!r}{hint}")
    return found[0]


def _plain(name: str) -> str:
    return " ".join(name.lower().replace("_", " ").split())
