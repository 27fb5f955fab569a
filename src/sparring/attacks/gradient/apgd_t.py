"""APGD-T: Auto-PGD towards one wrong class after the other; any misclassification ends it.

For each of the likeliest wrong classes t of the clean image: APGD on  -(z_y - z_t) / (z_(1) - (z_(3) + z_(4)) / 2).
Croce & Hein 2020, arXiv:2003.01690.

Differs from the reference code: as in `apgd`; fewer than 10 classes need no setting (targets = min(targets, K - 1)).
For a goal that is targeted already, that class is the only target. Fails on: masked gradients.
"""

from __future__ import annotations

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.apgd import apgd
from sparring.blocks.targets import Order, targets
from sparring.blocks.views.by_name import OptionalView
from sparring.bout import Bout
from sparring.losses import Loss, dlr_targeted
from sparring.norms import L1, L2, Linf


@register(
    "apgd-t",
    title="APGD-T",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2020,
    paper="arXiv:2003.01690",
    aliases=("apgd-targeted",),
    peers=("autoattack", "torchattacks", "adv-lib"),
    random=True,
)
class APGDT(Attack):
    """Auto-PGD towards each of the likeliest wrong classes (Croce & Hein 2020).

    Args:
        steps: gradients of each run. targets: how many classes, likeliest first.
        order: "distance" = nearest first, as a linear model sees it (Melamed et al. 2024, arXiv:2407.02240).
        restarts: rounds over all targets. loss: what is climbed. view: what the model is shown instead.
    """

    steps: PositiveInt = 100
    targets: PositiveInt = 9
    order: Order = "logits"
    restarts: PositiveInt = 1
    loss: Loss = dlr_targeted
    view: OptionalView = None

    def run(self, bout: Bout) -> None:
        for again in bout.restarts(self.restarts):
            for b in targets(again, self.targets, self.order):
                apgd(b, self.steps, self.loss, self.view)
