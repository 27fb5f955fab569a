"""ANGRI: a network redraws an image so that it is taken for the class that the network is given.

    x' = A(x, t) in the eps-ball;   min_A  -log p_t(x') + weight * ||x' - x||_2^2,   t a random other class of x

Sarkar, Bansal, Mahbub, Chellappa 2017, arXiv:1707.01159. Of an untargeted goal it aims at the likeliest wrong class.

Differs from the paper: the network makes the change, which is moved smoothly into the ball of the threat; one
classifier, not several; convolutions that are scaled and shifted by the class, no fully connected layers.
Fails on: nets that were trained against such attacks; one pass through a network is no search.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import Residual, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.losses import cross_entropy
from sparring.norms import L2, Linf
from sparring.threat import Targeted


@register(
    "angri",
    title="ANGRI",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("individual", "generative"),
    year=2017,
    paper="arXiv:1707.01159",
    survey="ANGRI [156]",
)
class ANGRI(LearnedAttack):
    """A network that drives an image to the class that it is given (Sarkar et al. 2017).

    Args:
        weights: what it has learned; none = fit it first.
        weight: on the squared L2 norm of the change.
        epochs, batch_size, lr: of Adam.
    """

    weights: LearnedWeights = None
    weight: NonNegativeFloat = 0.001
    epochs: PositiveInt = 20
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 2e-3
    aims: ClassVar[bool] = True

    def net(self, subject: Subject) -> nn.Module:
        return Residual(subject, aims=True)

    def loss(self, lesson: Lesson) -> Tensor:
        goal = Targeted(lesson.other_classes(), lesson.y)
        d = lesson.net(lesson.x, goal.t)
        logits = lesson.logits(lesson.moved(d))
        lesson.fooled(logits, goal)
        return (-cross_entropy(logits, goal) + self.weight * L2.size(d).square()).mean()
