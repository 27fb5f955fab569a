"""Adversarial patch: one patch for all images, wherever it lies and however it is turned.

    max_p E_x,place  min(margin f(A(p, x, place)), beta),   A pastes the patch p onto the image x

Brown, Mane, Roy, Abadi, Gilmer 2017, arXiv:1712.09665. Under L0, and without a radius, its colours are free. Under Linf
it is a disguised patch: no pixel of an image changes by more than eps.

Differs from the paper: also untargeted, the default; margins of logits, bounded, not log-probabilities; the patch is
nearly square and of one size, since the size decides how strong it is; a fitted one tries one place in each image.
Fails on: patches that are too small for the net (5 % of a digit changes few answers); nets trained against patches.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.ball import Ball
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import Subject
from sparring.blocks.learned.patch import Patch
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L0, Linf
from sparring.rng import Noise


@register(
    "patch",
    title="Adversarial patch",
    sees="score",
    learns="gradient",
    norms=(L0, Linf),
    aim="own",
    scope=("universal",),
    visibility=("visible", "physical"),
    year=2017,
    paper="arXiv:1712.09665",
    aliases=("adversarial-patch",),
    peers=("art",),
    random=True,
)
class AdversarialPatch(LearnedAttack):
    """One patch that fools on any image, at any place (Brown et al. 2017).

    Args:
        weights: what it has learned; none = fit it first.
        target: the class to drive images to; none = any other.
        size: the share of the image that it covers. rotation: degrees by which it is turned at most, either way.
        beta: an image counts until it is fooled by so many logits.
        epochs, batch_size, lr: of Adam, the rate as a part of the box.
    """

    weights: LearnedWeights = None
    target: NonNegativeInt | None = None
    size: Annotated[float, Field(gt=0, le=1)] = 0.1
    rotation: Annotated[float, Field(ge=0, le=180)] = 22.5
    beta: NonNegativeFloat = 30.0
    epochs: PositiveInt = 30
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 0.05

    in_pixels: ClassVar[bool] = True

    def net(self, subject: Subject) -> nn.Module:
        return Patch(subject, self.size, self.rotation)

    def loss(self, lesson: Lesson) -> Tensor:
        patch, goal = lesson.net, lesson.goal(self.target)
        with torch.no_grad():
            patch.colours.clamp_(*lesson.ball.box)
        d = patch.subject.project(patch(lesson.x, lesson.noise) - lesson.x)
        logits = lesson.logits(lesson.moved(d))
        lesson.fooled(logits, goal)
        return -goal.margin(logits).clamp(max=self.beta).mean()

    def point(self, net: nn.Module, ball: Ball, t: Tensor | None, noise: Noise) -> Tensor:
        return ball.project(net(ball.x, noise))
