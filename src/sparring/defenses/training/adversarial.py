"""What all adversarial training has in common: examples made afresh in every step, and an objective on them.

The two halves are apart, so that wrappers (AWP, GradAlign) can use one without the other. Examples come from
`Attack.craft`: every image is attacked, also those that the net gets wrong, and no pass is spent on verdicts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

from torch import Tensor, nn

from sparring.attack import Attack
from sparring.attacks import attack
from sparring.defenses.training.loss import Step
from sparring.errors import InputError
from sparring.threat import Threat

Net = Callable[[Tensor], Tensor]
"pixels [B, C, H, W] -> logits [B, K]; a module, or one with other weights put in"


@dataclass(frozen=True)
class Adversarial(ABC):
    """A training loss on adversarial examples.

    Args:
        threat: norm and radius to become robust in.
        attack: what makes the examples, new in every step.
        warm_up: the part of the run, 0 to 1, over which eps grows linearly from 0 to the whole radius; without it,
            small nets on MNIST at eps 0.3 get stuck at a constant prediction (loss 2.303 = ln 10).
    """

    threat: Threat
    attack: Attack
    warm_up: float = 0.25

    def __post_init__(self) -> None:
        if self.threat.eps is None:
            raise InputError("adversarial training needs a radius: Threat('Linf', eps=0.3)")
        if not 0 <= self.warm_up <= 1:
            raise InputError(f"warm_up is {self.warm_up}; it is a part of the run, between 0 and 1")

    def radius(self, progress: float) -> float:
        """eps when the part `progress` in (0, 1] of the run is over."""
        assert self.threat.eps is not None
        return self.threat.eps * (min(1.0, progress / self.warm_up) if self.warm_up else 1.0)

    def at(self, step: Step) -> Threat:
        """The threat at this place of the run; its eps is noted."""
        eps = self.radius(step.progress)
        step.note(eps=eps)
        return replace(self.threat, eps=eps)

    def examples(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """[B, C, H, W] to train on, without a graph; the net is left as it was."""
        return self.attack.craft(model, x, y, self.at(step), seed=step.seed)

    @abstractmethod
    def objective(self, net: Net, x: Tensor, x_adv: Tensor, y: Tensor, step: Step) -> Tensor:
        """The scalar to minimise, given the examples."""

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`."""
        return self.objective(model, x, self.examples(model, x, y, step), y, step)


def crafted(
    model: nn.Module, x: Tensor, y: Tensor, by: Attack | str, threat: Threat | tuple[str, float], seed: int
) -> Tensor:
    """Examples for a loop of the user's own."""
    made = attack(by) if isinstance(by, str) else by
    return made.craft(model, x, y, threat, seed=seed)
