"""AdvGAN: a generator changes images so that the classifier errs and a critic takes them for clean ones.

    min_G  adversarial * [margin of the right class]_+ + gan * (D(x') - 1)^2 + hinge * max(0, ||G(x)||_2 - c)
    min_D  (D(x) - 1)^2 + D(x')^2,     x' = clip(x + eps-ball of G(x))

Xiao, Li, Zhu, He, Liu, Song 2018, arXiv:1801.02610. Fitted with gradients of the model ("semi-white-box"); with
`distil` a student learns to answer like the model, on clean images and on those of the generator as it is by then
("dynamic distillation"), and the generator learns from the student alone: the model gives scores, no gradients.

Differs from the paper: least squares for the critic, as in many implementations; the ball of the threat; critic,
student and generator move in one step, each by its own part of the loss.
Fails on: nets that were trained against such attacks (92.8 % stay right in Madry et al.'s MNIST challenge).
"""

from __future__ import annotations

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.gan import AgainstCritic, imitation, unmoved
from sparring.blocks.learned.nets import Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L2, Linf


@register(
    "advgan",
    title="AdvGAN",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("individual", "generative"),
    year=2018,
    paper="arXiv:1801.02610",
    survey="AdvGAN [188]",
)
class AdvGAN(LearnedAttack):
    """A generator that changes images so that they fool the classifier and look clean (Xiao et al. 2018).

    Args:
        weights: what it has learned; none = fit it first.
        target: the class to drive images to; none = any other.
        distil: learn from a student of the model, which gives scores and no gradients.
        adversarial, gan, hinge: weights of the parts of the loss. kappa: an image counts until it is fooled by so many
            logits. c: the L2 norm above which the hinge counts, as a part of the image's.
        epochs, batch_size, lr: of Adam.
    """

    weights: LearnedWeights = None
    target: NonNegativeInt | None = None
    distil: bool = False
    adversarial: NonNegativeFloat = 10.0
    gan: NonNegativeFloat = 1.0
    hinge: NonNegativeFloat = 1.0
    kappa: NonNegativeFloat = 2.0
    c: NonNegativeFloat = 0.3
    epochs: PositiveInt = 15
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 2e-3

    def net(self, subject: Subject) -> nn.Module:
        return AgainstCritic(subject, self.distil)

    def loss(self, lesson: Lesson) -> Tensor:
        net, x, goal = lesson.net, lesson.x, lesson.goal(self.target)
        d = net(x, None)
        z = lesson.moved(d)
        logits = unmoved(net.student, z) if self.distil else lesson.logits(z)
        lesson.fooled(logits, goal)
        fooling = (self.kappa - goal.margin(logits)).clamp(min=0)
        looks = (unmoved(net.critic, z) - 1).square()
        over = (L2.size(d) / L2.size(x).clamp(min=1e-3) - self.c).clamp(min=0)
        generator = self.adversarial * fooling + self.gan * looks + self.hinge * over
        critic = (net.critic(x) - 1).square() + net.critic(z.detach()).square()
        student = imitation(net.student, lesson.victim, torch.cat([x, z.detach()])) if self.distil else 0.0
        whole: Tensor = generator.mean() + critic.mean() + student
        return whole
