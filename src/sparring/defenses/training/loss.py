"""What a training loss is: a function of the net, one batch and the place in the run.

Everything that changes *what is learned* (adversarial examples, TRADES, distillation, penalties) is such a
function, so that there is one training loop. A dataclass is best: its fields go into the model's card.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Protocol

from torch import Tensor, nn

from sparring.attack import Attack
from sparring.threat import Threat


@dataclass
class Step:
    """How far training is, for losses that draw noise or change over time.

    Attributes:
        seed: fresh in every step and the same after a resume: seed attacks and noise with it.
        epoch: whole epochs done before this one.
        epochs: of the whole run.
        batch: batches done before this one in this epoch.
        batches: of one epoch.
        notes: figures of this step, see `note`.
    """

    seed: int
    epoch: int
    epochs: int
    batch: int
    batches: int
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def epochs_done(self) -> float:
        """Epochs done when this step is over, with its fraction: in (0, epochs]."""
        return self.epoch + (self.batch + 1) / self.batches

    @property
    def progress(self) -> float:
        """The part of the run that is over when this step is: in (0, 1]."""
        return self.epochs_done / self.epochs

    def note(self, **figures: float) -> None:
        """Report figures for the display and the history, where an epoch has their mean over its images."""
        self.notes.update(figures)


class TrainingLoss(Protocol):
    """A training loss; `Standard` is the simplest one."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """The scalar to minimise, a mean over the batch.

        Args:
            model: the net in training mode; a loss that changes its mode or weights puts them back.
            x: [B, C, H, W] pixels in [0, 1].
            y: [B] int64 classes.
            step: the place in the run.
        """
        ...


def batch_accuracy(logits: Tensor, y: Tensor) -> float:
    """The fraction of the rows of `logits` [B, K] whose largest entry is the class `y` [B]."""
    return float((logits.detach().argmax(1) == y).float().mean())


def describe(loss: object) -> dict[str, object]:
    """A loss as plain values for the card: its class and, of a dataclass, its fields."""
    if is_dataclass(loss) and not isinstance(loss, type):
        return {"loss": type(loss).__name__} | {f.name: _plain(getattr(loss, f.name)) for f in fields(loss) if f.init}
    return {"loss": getattr(loss, "__qualname__", type(loss).__qualname__)}


def _plain(value: object) -> object:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Attack):
        return value.spec
    if isinstance(value, nn.Module):
        return {"net": type(value).__name__, "weights": _fingerprint(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, Threat | type):
        return describe(value)
    return value.to_dict() if isinstance(value, Threat) else repr(value)


def _fingerprint(net: nn.Module) -> str:
    """A hash of all that is in the net's state."""
    state = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        state.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return state.hexdigest()[:16]
