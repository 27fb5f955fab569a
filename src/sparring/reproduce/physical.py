"""Attacks for the world outside, on photographs: stAdv, LaVAN, RP2 and EOT, and how often they fool when seen afresh.

Nobody has labelled the pictures, so the model's own answer to the clean picture stands for the truth. Every attack is
targeted. Its picture is then seen in random views, the same for all attacks and for the clean picture: the share that
the model gives the target, and beside it the share of the clean picture's views that still get the clean answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sparring.attacks import attack
from sparring.blocks.views.view_success import fresh_views, view_success
from sparring.errors import InputError
from sparring.model import Model
from sparring.norms import Linf
from sparring.reproduce.fgsm_imagenet import Answer, class_number, probabilities
from sparring.threat import Targeted, Threat
from sparring.zoo.imagenet import class_names
from sparring.zoo.photos import Photo

ATTACKS = (
    "stadv:steps=60,search=3",
    "lavan:size=0.08",
    "rp2:steps=150,area=0.15,transform=2d",
    "eot:steps=60,copies=10",
)
SHOWN = 3
"views in the figure, the first of those that are counted"


@dataclass(frozen=True)
class View:
    """One random view of a picture, and the model's answer to it."""

    image: Tensor
    answer: Answer
    fooled: bool


@dataclass(frozen=True)
class Exhibit:
    """A picture after one attack.

    Attributes:
        spec: the attack. photo: the clean picture. clean: the model's answer to it. target: the name of the class aimed
            at. image: [3, H, W]. answer: the model's, to the image seen straight on. target_confidence: the probability
            of the target there. fooled: the answer is the target. views: some of the random views.
        view_success: the share of the views that get the target. clean_views: the share of the clean picture's views
            that get the clean answer, and clean_target: that get the target.
        changed: the share of the pixels that differ. largest: the largest change of a pixel.
    """

    spec: str
    photo: Photo
    clean: Answer
    target: str
    image: Tensor
    answer: Answer
    target_confidence: float
    fooled: bool
    views: tuple[View, ...]
    view_success: float
    clean_views: float
    clean_target: float
    changed: float
    largest: float

    @property
    def name(self) -> str:
        """The registered name of the attack."""
        return self.spec.partition(":")[0]

    def record(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "attack": self.spec,
            "picture": self.photo.name,
            "target": self.target,
            "before": self.clean.to_dict(),
            "after": self.answer.to_dict(),
            "target_confidence_after": self.target_confidence,
            "fooled": self.fooled,
            "view_success": self.view_success,
            "clean_views_right": self.clean_views,
            "clean_views_target": self.clean_target,
            "pixels_changed": self.changed,
            "largest_change": self.largest,
        }


def physical(
    model: Model,
    photos: Sequence[Photo],
    *,
    attacks: Sequence[str] = ATTACKS,
    target: str = "toaster",
    views: str = "2d",
    draws: int = 100,
    eps: float = 16 / 255,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> list[list[Exhibit]]:
    """Let each attack loose on all photographs, towards one class, and look at what comes out.

    Args:
        attacks: specs. Those that fill a radius get `eps` (Linf where they can), the others none.
        target: a class name or number. views: what is seen, see `blocks.views.transforms`.
        draws: how many views are counted.
        say: called with each line of progress.

    Returns:
        For each attack one exhibit a photo.

    Raises:
        InputError: no such class or attack, or the model sees the target in a clean picture.
    """
    x = torch.stack([photo.image for photo in photos])
    before = [probabilities(model, picture[None]) for picture in x]
    names = class_names(model, len(before[0]))
    truth, aim = torch.stack(before).argmax(1), class_number(target, names)
    for photo, label in zip(photos, truth.tolist(), strict=True):
        if label == aim:
            raise InputError(f"the model sees {names[aim]!r} in {photo.name} already; choose another target")
    goal = Targeted(aim, truth)
    say(f"{draws} views of the clean pictures")
    right, already = (
        1 - view_success(model, x, truth, views, draws, seed),
        view_success(model, x, goal, views, draws, seed),
    )
    rooms = []
    for spec in attacks:
        searcher = attack(spec)
        fills = searcher.info.aim in ("budget", "both")
        norm = Linf if fills and Linf in searcher.info.norms else searcher.info.norms[0]
        say(f"{searcher.spec} on {len(photos)} pictures")
        # keep="last": what the attack itself ends with, the surest patch and the smoothest flow, fooling or not.
        threat = Threat(norm, eps if fills else None)
        images = searcher(model, x, goal, threat, seed=seed, keep="last").x_adv
        rates = view_success(model, images, goal, views, draws, seed)
        shown = torch.stack(list(fresh_views(images, views, SHOWN, model.box, seed)), 1)
        rooms.append(
            [
                Exhibit(
                    spec=searcher.spec,
                    photo=photo,
                    clean=_answer(old, names),
                    target=names[aim],
                    image=image,
                    answer=_answer(new := probabilities(model, image[None]), names),
                    target_confidence=float(new[aim]),
                    fooled=int(new.argmax()) == aim,
                    views=tuple(_view(model, seen, aim, names) for seen in looks),
                    view_success=float(rate),
                    clean_views=float(well),
                    clean_target=float(wrong),
                    changed=float((image != photo.image).any(0).float().mean()),
                    largest=float((image - photo.image).abs().max()),
                )
                for photo, old, image, looks, rate, well, wrong in zip(
                    photos, before, images, shown, rates, right, already, strict=True
                )
            ]
        )
    return rooms


def _answer(probability: Tensor, names: Sequence[str]) -> Answer:
    top = int(probability.argmax())
    return Answer(top, names[top], float(probability[top]))


def _view(model: Model, image: Tensor, aim: int, names: Sequence[str]) -> View:
    answer = _answer(probabilities(model, image[None]), names)
    return View(image, answer, answer.number == aim)
