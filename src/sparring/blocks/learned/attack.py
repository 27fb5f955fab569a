"""`LearnedAttack`: an attack that is fitted to a model and images first, and then attacks any image at once.

An attack of this kind is two things: the net that learns (`net`) and what it learns (`loss`). Fitting, files and the
attack itself are the same for all, and are here and in `sparring.fitting`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor, nn

from sparring._callable import public
from sparring.attack import Attack
from sparring.ball import Ball
from sparring.blocks.learned.clip import inward_clip
from sparring.blocks.learned.nets import Subject
from sparring.blocks.learned.weights import Weights
from sparring.bout import Bout
from sparring.errors import InputError
from sparring.model import Model
from sparring.norms import norm
from sparring.rng import Noise
from sparring.seeds import derived_seed, private_rng
from sparring.threat import Goal, Targeted, Untargeted

CHUNK = 64
"images that go through a net together, always: the last digits of a product depend on the size of a batch"


@dataclass(frozen=True)
class Lesson:
    """One batch while an attack learns.

    Attributes:
        net: what learns. victim: the model under attack, its weights frozen. ball: what is allowed around the images.
        y: [B] the classes that the victim gives them. noise: random numbers, fresh in each step.
        classes: how many there are. notes: figures of this step, for the progress and the history.
    """

    net: Any
    victim: Model
    ball: Ball
    y: Tensor
    noise: Noise
    classes: int
    notes: dict[str, float]

    @property
    def x(self) -> Tensor:
        """[B, ...] the images."""
        return self.ball.x

    def goal(self, target: int | None) -> Goal:
        """Any class but that of the image, or the target."""
        return Untargeted(self.y) if target is None else Targeted(torch.full_like(self.y, target), self.y)

    def other_classes(self) -> Tensor:
        """[B] a random class for each image, not its own."""
        return (self.y + 1 + self.noise.below(self.classes - 1, 1).squeeze(1)) % self.classes

    def moved(self, d: Tensor) -> Tensor:
        """The images changed by d, inside the box and the region: [B, ...]. Differentiable, see `inward_clip`."""
        return inward_clip(self.ball.restrict_to_region(self.x + d), *self.ball.box)

    def logits(self, z: Tensor) -> Tensor:
        """What the victim says: [B, K]. Differentiable."""
        return self.victim.logits(z)

    def fooled(self, logits: Tensor, goal: Goal) -> None:
        """Note for the display how many are fooled."""
        self.notes["fooled_accuracy"] = float(goal.hit(logits.detach().argmax(1)).float().mean())


class LearnedAttack(Attack):
    """An attack that learns. Subclasses are frozen dataclasses with a field `weights`, and the methods below.

    `fit` gives a fitted attack: the same attack with its weights. That is called like any other attack; at that time
    it needs no gradient, and one query for each image, for the judge.
    """

    weights: Weights | None
    epochs: int
    lr: float
    batch_size: int
    aims: ClassVar[bool] = False
    "the net takes the class to drive each image to"
    in_pixels: ClassVar[bool] = False
    "what is learned are pixels, so the learning rate is a part of the box"

    @abstractmethod
    def net(self, subject: Subject) -> nn.Module:
        """The net to be fitted: (x [B, ...], t [B] or None) -> changes [B, ...], freshly drawn."""

    @abstractmethod
    def loss(self, lesson: Lesson) -> Tensor:
        """The scalar that the net is to make small, for one batch."""

    def point(self, net: nn.Module, ball: Ball, t: Tensor | None, noise: Noise) -> Tensor:
        """The allowed points [B, ...] that a fitted net gives."""
        return ball.project(ball.x + in_chunks(net, ball.x, t))

    def run(self, bout: Bout) -> None:
        net = self.fitted_net(bout.x)
        for b in bout.targets(1) if self.aims else bout.restarts(1):
            b.submit(self.point(net, b.ball, b.goal.t if self.aims else None, b.noise))

    # --- learning ---------------------------------------------------------------------------------------------

    def fit(self, model: Any, data: Any, threat: Any, *, seed: int = 0, **options: Any) -> Self:
        """The fitted attack. It learns from images that the model gets right, and is tested on others.

        Args:
            model: as for a call. data: (x, y), a DataLoader or images of `sparring.data`.
            threat: what is allowed, with a radius; the fitted attack is made for it.
            seed: the same seed gives the same weights.
            options: see `sparring.fitting.fit.fit_attack`: valid, test, transfer, out, resume, callbacks ...

        Raises:
            InputError: model, images and threat do not fit each other.
        """
        fitted: Self = public("sparring", "fit_attack")(self, model, data, threat, seed=seed, **options)
        return fitted

    def save(self, folder: str | Path) -> Path:
        """Write what it has learned: `weights.safetensors` and `card.json`, which `sp.load_attack` reads."""
        return self._learned().save(folder)

    @property
    def fitted(self) -> bool:
        """It has learned."""
        return self.weights is not None

    @property
    def card(self) -> dict[str, Any]:
        """How it was fitted, and its success on images that it never saw: plain values."""
        card: dict[str, Any] = self._learned().card
        return card

    @property
    def subject(self) -> Subject:
        """What it was fitted for."""
        return subject_of(self.card)

    def fitted_net(self, x: Tensor) -> nn.Module:
        """The fitted net, for images like `x` [B, ...], on their device.

        Raises:
            InputError: it was not fitted, or for images of another shape.
        """
        weights, subject = self._learned(), self.subject
        if tuple(x.shape[1:]) != subject.shape:
            raise InputError(
                f"this {self.info.name} was fitted for images of shape {subject.shape}, not {tuple(x.shape[1:])}; "
                "fit it on such images"
            )
        where = str(x.device)
        if where not in weights.nets:
            net = fresh_net(self, subject, 0)
            try:
                net.load_state_dict(weights.tensors)
            except RuntimeError as error:
                reason = " ".join(str(error).split())
                raise InputError(f"the weights {weights.name} do not fit {self.info.name}: {reason}") from None
            weights.nets[where] = net.to(x.device).eval().requires_grad_(False)
        fitted: nn.Module = weights.nets[where]
        return fitted

    def _learned(self) -> Weights:
        if self.weights is None:
            name = self.info.name
            raise InputError(
                f"{name} learns from images before it attacks; fit it first: sp.attack({name!r}).fit(model, images, "
                f"threat), or sparring attack {name} --fit, or give {name}:weights=FOLDER of a fitted one"
            )
        return self.weights


def subject_of(card: dict[str, Any]) -> Subject:
    """What a fitted attack was fitted for, from its card."""
    threat = card["threat"]
    eps = float("inf") if threat["eps"] is None else float(threat["eps"])
    low, high = threat["box"]
    return Subject(tuple(card["shape"]), int(card["classes"]), norm(threat["norm"]), eps, (float(low), float(high)))


def fresh_net(attack: LearnedAttack, subject: Subject, seed: int) -> nn.Module:
    """The net of an attack, freshly drawn; the same seed gives the same weights, and the global RNG stays as it was."""
    with private_rng(torch.device("cpu"), derived_seed(seed, "weights")):
        net: nn.Module = replace(cast(Any, attack), weights=None).net(subject).float()
        return net


def in_chunks(net: nn.Module, x: Tensor, t: Tensor | None) -> Tensor:
    """What a net makes of images [B, ...] (and classes [B]), the same to the bit in whatever batch they come.

    Every chunk has the same size, the last is filled up; where in it an image stands plays no part.
    """
    parts = []
    with torch.no_grad():
        for start in range(0, len(x), CHUNK):
            part = x[start : start + CHUNK].float()
            aim = None if t is None else _filled(t[start : start + CHUNK])
            parts.append(net(_filled(part), aim)[: len(part)])
    return torch.cat(parts).to(x.dtype) if parts else torch.zeros_like(x)


def _filled(rows: Tensor) -> Tensor:
    """The rows, and the last of them again until there are as many as in a chunk."""
    missing = CHUNK - len(rows)
    return torch.cat([rows, rows[-1:].expand(missing, *rows.shape[1:])]) if missing else rows
