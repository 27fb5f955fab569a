"""What the training loop sees of an attack that learns: a net, a loss, and when to stop.

The net of the best epoch is kept beside the one that goes on learning, in the checkpoints as well: single-image steps
such as UAP's may undo in one epoch what the last has won.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sparring.blocks.learned.attack import LearnedAttack, Lesson
from sparring.blocks.learned.nets import Subject
from sparring.data.images import ImageData
from sparring.defenses.training.loss import Step
from sparring.defenses.training.measure import clean_accuracy
from sparring.defenses.training.watch import Watch
from sparring.fitting.images import Images
from sparring.model import Model
from sparring.rng import TrainingNoise
from sparring.threat import Threat


class Shared:
    """The victim as the loop's copies share it: nothing of it is trained, copied or saved."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def __deepcopy__(self, memo: dict[int, Any]) -> Shared:
        return self


class Pupil(nn.Module):
    """Pictures [B, C, H, W] in [0, 1] -> the victim's logits of the attacked images [B, K].

    Args:
        attack: that learns. net: its net, the only thing that is trained. subject, threat, victim: what is attacked.

    Attributes:
        kept: the net after the best epoch so far. lowest: the victim's accuracy against it.
    """

    lowest: Tensor

    def __init__(self, attack: LearnedAttack, net: nn.Module, subject: Subject, threat: Threat, victim: Shared) -> None:
        super().__init__()
        self.net = net
        self.kept = deepcopy(net).requires_grad_(False)
        self.register_buffer("lowest", torch.full((), torch.inf))
        self.attack, self.subject, self.threat, self.victim = attack, subject, threat, victim

    @torch.no_grad()
    def keep(self, accuracy: float) -> None:
        """Keep the net as it is, if the victim's accuracy was never lower."""
        if accuracy <= float(self.lowest):
            self.lowest.fill_(accuracy)
            self.kept.load_state_dict(self.net.state_dict())

    def pictures(self, x: Tensor) -> Tensor:
        """Images [N, ...] of the victim as the loop wants them: [N, C, H, W] in [0, 1]."""
        low, _ = self.subject.box
        return ((x - low) / self.subject.width).float().clamp(0, 1).reshape(len(x), *self.subject.picture).cpu()

    def data(self, images: Images) -> ImageData:
        """The same with their classes, as the loop wants them."""
        return ImageData(self.pictures(images.x), images.y, classes=[str(k) for k in range(self.subject.classes)])

    def images(self, pictures: Tensor) -> Tensor:
        """The way back."""
        low, _ = self.subject.box
        x = low + self.subject.width * pictures.reshape(len(pictures), *self.subject.shape)
        return self.victim.model.accept(x)

    def forward(self, pictures: Tensor) -> Tensor:
        model, x = self.victim.model, self.images(pictures)
        t = (model.logits(x).argmax(1) + 1) % self.subject.classes if self.attack.aims else None
        ball = self.threat.ball(x)
        return model.logits(self.attack.point(self.net, ball, t, TrainingNoise.of(x, 0))).float()


@dataclass(frozen=True)
class Teaching:
    """The attack's own loss, as the loop calls it.

    Args:
        attack: that learns. threat: what is allowed. victim: for the record: a resume with another net is refused.
    """

    attack: LearnedAttack
    threat: Threat
    victim: nn.Module | None

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        assert isinstance(model, Pupil)
        images = model.images(x)
        ball, noise = self.threat.ball(images), TrainingNoise.of(images, step.seed)
        lesson = Lesson(model.net, model.victim.model, ball, y, noise, model.subject.classes, {})
        loss = self.attack.loss(lesson)
        step.note(**lesson.notes)
        return loss


@dataclass(frozen=True)
class Stall(Watch):
    """The victim's accuracy on attacked images that the fit does not learn from, after each epoch.

    Args:
        valid: these images. patience: stop when the accuracy has not fallen for so many epochs; None = never.
    """

    valid: ImageData | None = field(default=None, repr=False)
    patience: int | None = None

    def measure(self, net: nn.Module, data: ImageData) -> float:
        """See `Watch`."""
        assert isinstance(net, Pupil)
        accuracy = clean_accuracy(net, data if self.valid is None else self.valid)
        net.keep(accuracy)
        return accuracy

    def alarm(self, history: Sequence[dict[str, float]]) -> bool:
        """See `Watch`."""
        if self.patience is None or len(history) <= self.patience:
            return False
        accuracies = [record["robust_accuracy"] for record in history]
        return min(accuracies[-self.patience :]) >= min(accuracies[: -self.patience])

    def explain(self, history: Sequence[dict[str, float]]) -> str:
        """See `Watch`."""
        return f"no better for {self.patience} epochs on images that it does not learn from"
