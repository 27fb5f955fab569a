"""How a run of a generator is doing, measured on its samples, and when there is no point in going on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sparring.generators.pairs import Generator
from sparring.model import Model


def class_shares(judge: Model, images: Tensor) -> Tensor:
    """The share of each class among `images` [N, C, H, W] in [0, 1], as `judge` sees them: float64 [K]."""
    with judge.guard(), torch.no_grad():
        logits = torch.cat([judge.logits(judge.accept(part)) for part in torch.split(images, 500)])
    return torch.bincount(logits.argmax(1).cpu(), minlength=logits.shape[1]).double() / len(images)


@dataclass(frozen=True)
class Watch:
    """Looks at samples now and then.

    Args:
        judge: the classifier whose classes are counted. samples: how many it looks at; a class counts as seen
            from one sample in a hundred on.
        patience: so many records in a row have to be bad.
    """

    judge: Model
    samples: int = 500
    patience: int = 3

    def measure(self, generator: Generator) -> dict[str, float]:
        """`classes_seen` and `largest_class`, the share of the most frequent class."""
        shares = class_shares(self.judge, generator.sample(self.samples).clamp(0, 1))
        return {"classes_seen": float((shares >= 0.01).sum()), "largest_class": float(shares.max())}

    def reason(self, history: list[dict[str, float]]) -> str | None:
        """One plain sentence why the run should stop, or None.

        Collapse: at most two classes are left of at least five that were seen before. Vanishing gradient: the critic
        of a GAN tells all images apart with hardly any loss.
        """
        last = history[-self.patience :]
        if len(last) < self.patience:
            return None
        at, best = int(last[-1]["iteration"]), max(record["classes_seen"] for record in history)
        now = last[-1]["classes_seen"]
        if best >= 5 and all(record["classes_seen"] <= 2 for record in last):
            return (
                f"mode collapse: the samples show {now:.0f} classes in iteration {at}, after {best:.0f} before; "
                "take a smaller learning rate, or wgan-gp"
            )
        if all(record.get("critic_accuracy", 0) > 0.999 and record["critic_loss"] < 0.005 for record in last):
            return (
                f"vanishing gradient: the discriminator tells all real images from made ones in iteration {at} (loss "
                f"{last[-1]['critic_loss']:.4f}), so that the generator learns nothing more; take wgan-gp"
            )
        return None
