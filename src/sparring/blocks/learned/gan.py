"""AdvGAN's nets: a generator beside the critic that it has to please, and the student that stands in for the model."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from sparring.blocks.learned.nets import Critic, Residual, Student, Subject
from sparring.model import Model


class AgainstCritic(nn.Module):
    """Images -> changes of them. `critic` and `student` take part in the fit alone.

    Args:
        subject: see there. distil: there is a student.
    """

    def __init__(self, subject: Subject, distil: bool) -> None:
        super().__init__()
        self.generator = Residual(subject, aims=False)
        self.critic = Critic(subject)
        self.student = Student(subject) if distil else None

    def forward(self, x: Tensor, t: Tensor | None) -> Tensor:
        changes: Tensor = self.generator(x, None)
        return changes


def unmoved(net: nn.Module, x: Tensor) -> Tensor:
    """What the net says, with no gradient for its own weights: whoever made `x` learns from it alone."""
    said: Tensor = functional_call(net, {name: value.detach() for name, value in net.named_parameters()}, (x,))
    return said


def imitation(student: nn.Module, model: Model, x: Tensor) -> Tensor:
    """The mean cross-entropy of the student's answers with the model's, over images [B, ...]. One query each."""
    with torch.no_grad():
        answers = model.logits(x).softmax(1)
    return F.cross_entropy(student(x), answers.float())
