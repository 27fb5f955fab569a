"""Ensemble adversarial training: examples from other, fixed nets, so that the net cannot blunt its own attack.

Each step draws the net that the examples are made on, one of the fixed ones or the net itself; half of the loss is on
clean images. Tramer et al. 2018, arXiv:1705.07204. Differs from the paper: any attack, not only RAND+FGSM.
Fails on: white-box attacks with more than one step: it helps against transferred examples only.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, nn

from sparring.attack import Attack
from sparring.attacks.gradient.fgsm import FGSM
from sparring.defenses.training.loss import Step
from sparring.defenses.training.madry import AdversarialTraining
from sparring.errors import InputError


@dataclass(frozen=True)
class EnsembleAdversarialTraining(AdversarialTraining):
    """Mixed training on examples that are made, step by step, on a net drawn at random.

    Args:
        sources: fixed nets, pixels to logits. attack: FGSM unless given. mix: the weight of the clean images.
    """

    attack: Attack = field(default_factory=FGSM)
    mix: float = 0.5
    sources: tuple[nn.Module, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise InputError("ensemble adversarial training needs other nets: sources=(net, ...), or sources=NAME+NAME")

    def examples(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        drawn = step.seed % (len(self.sources) + 1)
        source = model if drawn == len(self.sources) else self.sources[drawn].to(x.device)
        return super().examples(source, x, y, step)
