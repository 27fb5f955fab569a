"""MultiTargeted: PGD on one difference of logits after the other; any misclassification ends it.

For each of the likeliest wrong classes t of the clean image: PGD on  z_t - z_y , which a locally linear net gives up
exactly where cross-entropy has to find the class by itself.
Gowal et al. 2019, arXiv:1910.09338.

Differs from the paper: the classes are taken by their clean logits, likeliest first, for the samples still standing;
steps of fixed length in place of Adam's. For a goal that is targeted already, that class is the only target.
Fails on: masked gradients; many classes need many targets.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.pgd import pgd
from sparring.blocks.views.by_name import OptionalView
from sparring.bout import Bout
from sparring.losses import Loss, logit_difference
from sparring.norms import L1, L2, Linf


@register(
    "multitargeted",
    title="MultiTargeted",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2019,
    paper="arXiv:1910.09338",
    aliases=("multi-targeted", "mt-pgd"),
    random=True,
)
class MultiTargeted(Attack):
    """PGD towards each of the likeliest wrong classes (Gowal et al. 2019).

    Args:
        steps: of each run. step: the length of each as a fraction of eps; None = 2.5 / steps.
        targets: how many classes, likeliest first. restarts: rounds over all targets.
        loss: what is climbed. random_start: False = from the image itself.
        view: what the model is shown instead of the point.
    """

    steps: PositiveInt = 40
    step: PositiveFloat | None = None
    targets: PositiveInt = 9
    restarts: PositiveInt = 1
    loss: Loss = logit_difference
    random_start: bool = True
    view: OptionalView = None

    def run(self, bout: Bout) -> None:
        step = self.step or 2.5 / self.steps
        for again in bout.restarts(self.restarts):
            for b in again.targets(self.targets):
                start = b.ball.sample(b.noise) if self.random_start else b.x
                b.submit(pgd(b, start, self.steps, step, self.loss, self.view))
