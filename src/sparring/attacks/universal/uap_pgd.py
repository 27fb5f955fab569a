"""UAP by projected gradients: one perturbation for all images climbs the loss of batch after batch.

    v <- P(v + rate * Adam(grad_v mean_i min(L(x_i + v, y_i), beta))),   P onto ||v|| <= eps

Shafahi, Najibi, Xu, Dickerson, Davis, Goldstein 2020, arXiv:1811.11304. The bound beta keeps single images from taking
over the mean. Towards a class with `target`.

Differs from the paper: the margin is climbed, not the cross-entropy, so that the bound is the number of logits by which
an image is fooled; the start is zero.
Fails on: nets that look at each image their own way, such as adversarially trained ones.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import OneForAll, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L1, L2, Linf


@register(
    "uap-pgd",
    title="UAP by projected gradients",
    sees="score",
    learns="gradient",
    norms=(L1, L2, Linf),
    scope=("universal",),
    year=2018,
    paper="arXiv:1811.11304",
    aliases=("sgd-uap",),
)
class UAPPGD(LearnedAttack):
    """One perturbation for all images, by projected gradients (Shafahi et al. 2020).

    Args:
        weights: what it has learned; none = fit it first.
        target: the class to drive images to; none = any other.
        beta: an image counts until it is fooled by so many logits.
        epochs, batch_size, lr: of Adam; the rate is a part of the box.
    """

    weights: LearnedWeights = None
    target: NonNegativeInt | None = None
    beta: NonNegativeFloat = 2.0
    epochs: PositiveInt = 10
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 0.02

    in_pixels: ClassVar[bool] = True

    def net(self, subject: Subject) -> nn.Module:
        return OneForAll(subject)

    def loss(self, lesson: Lesson) -> Tensor:
        goal, v = lesson.goal(self.target), lesson.net.delta
        with torch.no_grad():
            v.copy_(lesson.net.subject.project(v))
        logits = lesson.logits(lesson.moved(lesson.net(lesson.x, None)))
        lesson.fooled(logits, goal)
        return -goal.margin(logits).clamp(max=self.beta).mean()
