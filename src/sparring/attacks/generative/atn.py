"""ATN: a network changes images so that the classifier gives the answer that is asked for, and little else changes.

    min_g  beta * ||g(x) - x||_2^2 + ||p(g(x)) - r_alpha(p(x), t)||_2^2
    r_alpha: the probabilities with alpha * max_k p_k at t, and divided by their sum; the order of the others is kept

Baluja and Fischer 2018, arXiv:1703.09387. mode=residual is the paper's P-ATN, g(x) = x + change; mode=autoencoder its
AAE, g(x) = an image drawn anew. Of an untargeted goal it aims at the likeliest wrong class.

Differs from the paper: one network for all targets, which gets the class; what it makes is moved smoothly into the
ball of the threat; the cross-entropy towards r is the second term with `distance=ce` (default), since the paper's
squared distance of probabilities (distance=l2) has no gradient left where the classifier is sure; alpha is 10 (paper:
1.5), as a target that is just above the right class is missed too often.
Fails on: nets that were trained against such attacks; one pass through a network is no search.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from sparring.attack import register
from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import Redrawn, Residual, Subject
from sparring.blocks.learned.weights import LearnedWeights
from sparring.norms import L2, Linf
from sparring.threat import Targeted


@register(
    "atn",
    title="Adversarial Transformation Networks (ATN)",
    sees="score",
    learns="gradient",
    norms=(L2, Linf),
    scope=("individual", "generative"),
    year=2017,
    paper="arXiv:1703.09387",
    aliases=("p-atn",),
    survey="Adversarial Transformation Networks (ATNs) [9]",
)
class ATN(LearnedAttack):
    """A network that changes the classifier's answer to a wanted one (Baluja and Fischer 2018).

    Args:
        weights: what it has learned; none = fit it first.
        mode: "residual" (P-ATN) or "autoencoder" (AAE).
        alpha: how far above the largest probability the target's shall be. beta: on the squared L2 norm of the change.
        distance: of the answer from the wanted one: "ce" or "l2".
        epochs, batch_size, lr: of Adam.
    """

    weights: LearnedWeights = None
    mode: Literal["residual", "autoencoder"] = "residual"
    alpha: Annotated[float, Field(gt=1)] = 10.0
    beta: NonNegativeFloat = 0.001
    distance: Literal["ce", "l2"] = "ce"
    epochs: PositiveInt = 20
    batch_size: PositiveInt = 100
    lr: PositiveFloat = 2e-3
    aims: ClassVar[bool] = True

    def net(self, subject: Subject) -> nn.Module:
        return Residual(subject, aims=True) if self.mode == "residual" else Redrawn(subject, aims=True)

    def loss(self, lesson: Lesson) -> Tensor:
        goal = Targeted(lesson.other_classes(), lesson.y)
        d = lesson.net(lesson.x, goal.t)
        logits = lesson.logits(lesson.moved(d))
        lesson.fooled(logits, goal)
        with torch.no_grad():
            wanted = reranked(lesson.logits(lesson.x).softmax(1), goal.label, self.alpha)
        if self.distance == "ce":
            away = -(wanted * logits.log_softmax(1)).sum(1)
        else:
            away = (logits.softmax(1) - wanted).square().sum(1)
        return (self.beta * L2.size(d).square() + away).mean()


def reranked(p: Tensor, t: Tensor, alpha: float) -> Tensor:
    """Probabilities [B, K] with `alpha` times the largest at the classes t [B], divided by their sum.

    >>> reranked(torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([2]), 1.5)
    tensor([[0.3333, 0.1667, 0.5000]])
    """
    raised = p.scatter(1, t[:, None], alpha * p.amax(1, keepdim=True))
    return raised / raised.sum(1, keepdim=True)
