"""UPSET: a network makes one perturbation for each class, which drives any image to that class.

    x' = clip(x + eps-ball of R(t));   min_R  -log p_t(x') + weight * ||R(t)||_2^2,   t a random other class of x

Sarkar, Bansal, Mahbub, Chellappa 2017, arXiv:1707.01159. Of an untargeted goal it aims at the likeliest wrong class.

Differs from the paper: the ball of the threat takes the place of the fixed scale s = 2, and the box that of the
images' own range (-1, 1); one classifier, not several; a small decoder.
Fails on: small radii, where no one change drives all images to a class.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import OneForClass, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.losses import cross_entropy
from sparring.norms import L2, Linf
from sparring.threat import Targeted


@register(
    "upset",
    title="UPSET",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("universal", "generative"),
    year=2017,
    paper="arXiv:1707.01159",
    survey="UPSET [156]",
)
class UPSET(LearnedAttack):
    """One perturbation for each class to drive images to, by a network (Sarkar et al. 2017).

    Args:
        weights: what it has learned; none = fit it first.
        weight: on the squared L2 norm of the perturbation.
        epochs, batch_size, lr: of Adam.
    """

    weights: LearnedWeights = None
    weight: NonNegativeFloat = 0.001
    epochs: PositiveInt = 15
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 2e-3
    aims: ClassVar[bool] = True

    def net(self, subject: Subject) -> nn.Module:
        return OneForClass(subject)

    def loss(self, lesson: Lesson) -> Tensor:
        goal = Targeted(lesson.other_classes(), lesson.y)
        d = lesson.net(lesson.x, goal.t)
        logits = lesson.logits(lesson.moved(d))
        lesson.fooled(logits, goal)
        return (-cross_entropy(logits, goal) + self.weight * L2.size(d).square()).mean()
