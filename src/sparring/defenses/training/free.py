"""Free adversarial training: one backward pass gives the gradient of the weights and that of the pixels.

Each batch is replayed m times; the perturbation moves on with the pixels' gradient of the step before, from one batch
to the next:  d = P(d + eps * steepest(grad)).  Shafahi et al. 2019, arXiv:1904.12843.
Differs from the paper's code: the perturbation starts anew (random in the ball) with every epoch, so that a resumed run
is the same to the bit; an epoch here is m passes over the data.
Fails on: large eps, where it overfits catastrophically as all single steps do; images start from others' perturbations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sparring.ball import Ball
from sparring.defenses.training.loss import Step, batch_accuracy
from sparring.errors import InputError
from sparring.rng import TrainingNoise
from sparring.threat import Threat


@dataclass
class Free:
    """Cross-entropy on examples that cost nothing; it carries the perturbation from step to step.

    Args:
        threat: norm and radius. replays: m, how often each batch is used in a row. step: of each move, in parts of eps.
    """

    threat: Threat
    replays: int = 8
    step: float = 1.0
    _d: Tensor | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.threat.eps is None:
            raise InputError("adversarial training needs a radius: Threat('Linf', eps=0.3)")
        if self.replays < 1:
            raise InputError(f"replays is {self.replays}; it must be at least 1")

    def __call__(self, model: nn.Module, x: Tensor, y: Tensor, step: Step) -> Tensor:
        """See `TrainingLoss`; the loop replays batches for it."""
        assert self.threat.eps is not None
        eps = torch.full((len(x),), self.threat.eps, dtype=x.dtype, device=x.device)
        ball = Ball(x, self.threat.norm, eps, self.threat.box or (0.0, 1.0))
        if step.batch == 0 or self._d is None or len(self._d) < len(x):
            self._d = ball.sample(TrainingNoise.of(x, step.seed)) - x
        point = ball.project(x + self._d[: len(x)]).requires_grad_()
        logits: Tensor = model(point)
        step.note(accuracy=batch_accuracy(logits, y))

        def move(slope: Tensor) -> None:  # called by the loop's own backward pass
            moved = ball.step(point.detach(), slope.nan_to_num(0.0), self.step * eps)
            self._d = ball.project(moved) - x

        point.register_hook(move)  # type: ignore[no-untyped-call]
        return cross_entropy(logits, y)
