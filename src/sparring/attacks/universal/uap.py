"""UAP: one perturbation for all images, the sum of the small steps that push image after image over a boundary.

    for each x with f(x + v) = f(x):   v <- P(v + DeepFool(x + v)),   P onto ||v|| <= eps;   until 1 - delta are fooled

Moosavi-Dezfooli, Fawzi, Fawzi, Frossard 2017, arXiv:1610.08401. Every image is taken by itself, with the perturbation
as those before it left it, as in the paper.

Differs from the paper: the radius is the threat's (paper: Linf 10/255, L2 2000/255); the images that the perturbation
does not fool are found in batches. Where it already fools 1 - delta of a batch, nothing is added. Of all passes, the
perturbation is kept that fooled most images that it was not made from.
Fails on: nets that look at each image their own way, such as adversarially trained ones; few images (uap-pgd learns
more from them).
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.attacks.gradient.deepfool import DeepFool
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import OneForAll, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L2, Linf


@register(
    "uap",
    title="Universal Adversarial Perturbation (UAP)",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("universal",),
    year=2017,
    paper="arXiv:1610.08401",
    peers=("art",),
)
class UAP(LearnedAttack):
    """One perturbation for all images, by DeepFool steps (Moosavi-Dezfooli et al. 2017).

    Args:
        weights: what it has learned; none = fit it first.
        epochs: passes over the images, at most. delta: the share of images that may stay as they are.
        steps: of DeepFool for an image. overshoot: of each of them.
        images: that it learns from, at most; DeepFool on each of them takes its time.
        batch_size: images looked at together. lr: plays no part.
    """

    weights: LearnedWeights = None
    epochs: PositiveInt = 5
    delta: Annotated[float, Field(ge=0, lt=1)] = 0.05
    steps: PositiveInt = 10
    overshoot: PositiveFloat = 0.02
    images: PositiveInt = 500
    batch_size: PositiveInt = 50
    lr: PositiveFloat = 1.0

    def net(self, subject: Subject) -> nn.Module:
        return OneForAll(subject)

    def loss(self, lesson: Lesson) -> Tensor:
        v, x, goal = lesson.net.delta, lesson.x, lesson.goal(None)
        search = DeepFool(steps=self.steps, overshoot=self.overshoot)
        with torch.no_grad():
            stands = ~goal.hit(lesson.victim.labels(lesson.moved(v)))
            lesson.notes["fooled_accuracy"] = 1 - float(stands.float().mean())
            enough = int(stands.sum()) <= self.delta * len(x)
            for i in [] if enough else stands.nonzero().flatten().tolist():
                row = torch.tensor([i], device=x.device)
                at = lesson.ball[row].clip(x[row] + v)
                if bool(goal[row].hit(lesson.victim.labels(at))):
                    continue
                found = search(lesson.victim, at, lesson.y[row], (lesson.ball.norm, None))
                if bool(found.success):
                    v.copy_(lesson.net.subject.project(v + found.x_adv.to(v) - at))
        nothing: Tensor = 0 * lesson.net.delta.sum()  # the step is done
        return nothing
