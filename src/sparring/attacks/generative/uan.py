"""UAN: a network turns random codes into perturbations, each of which fools on most images.

    x' = clip(x + eps-ball of U(z)),   z ~ N(0, 0.5^2)^100;   min E_z,x [z_y - max other z]_+ + weight * ||U(z)||

Hayes and Danezis 2018, arXiv:1708.05207. A code is drawn once and kept: the fitted attack is one perturbation for all
images.

Differs from the paper: margins of logits, not of log-probabilities; the output is moved smoothly into the whole ball
from the beginning, instead of a norm that grows whenever the loss stalls; a small decoder without batch normalisation,
whose perturbations would depend on the batch.
Fails on: nets that look at each image their own way, such as adversarially trained ones.
"""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import FromCode, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L2, Linf


@register(
    "uan",
    title="Universal Adversarial Networks (UAN)",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("universal", "generative"),
    year=2017,
    paper="arXiv:1708.05207",
    survey="Universal Adversarial Networks (UAN) [73]",
)
class UAN(LearnedAttack):
    """A network that turns random codes into universal perturbations (Hayes and Danezis 2018).

    Args:
        weights: what it has learned; none = fit it first.
        target: the class to drive images to; none = any other.
        codes, spread: numbers in a code, and their standard deviation.
        beta: an image counts until it is fooled by so many logits.
        weight: on the L2 norm of the perturbation, as a part of the image's.
        epochs, batch_size, lr: of Adam.
    """

    weights: LearnedWeights = None
    target: NonNegativeInt | None = None
    codes: PositiveInt = 100
    spread: PositiveFloat = 0.5
    beta: NonNegativeFloat = 2.0
    weight: NonNegativeFloat = 0.0
    epochs: PositiveInt = 10
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 1e-3

    def net(self, subject: Subject) -> nn.Module:
        return FromCode(subject, self.codes, self.spread)

    def loss(self, lesson: Lesson) -> Tensor:
        goal = lesson.goal(self.target)
        d = lesson.net.decode(lesson.noise.normal(self.codes))
        logits = lesson.logits(lesson.moved(d))
        lesson.fooled(logits, goal)
        size = L2.size(d) / L2.size(lesson.x).clamp(min=1e-3)
        return (-goal.margin(logits).clamp(max=self.beta) + self.weight * size).mean()
