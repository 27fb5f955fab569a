"""APGD-CE and APGD-DLR: projected gradient ascent without a step size to choose.

The update and the checkpoints are in `blocks.apgd`, the L1 version in `blocks.apgd_l1`; the two attacks differ in
their loss. Each starts from random points at distance eps.
Croce & Hein 2020, arXiv:2003.01690; L1: Croce & Hein 2021, arXiv:2103.01208.

Differs from the reference code: the fooled leave inside a run; projections are exact on ball and box together;
the loss at the start counts when rises are counted at the first checkpoint (there: an unset zero); the last point
costs no gradient. With two classes DLR is the margin.
Fails on: CE: saturated softmax (try DLR); both: masked gradients.
"""

from __future__ import annotations

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.climb import climb
from sparring.blocks.views import OptionalView
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy, dlr
from sparring.norms import L1, L2, Linf


class _APGD(Attack):
    """What both have in common."""

    steps: PositiveInt
    restarts: PositiveInt
    loss: Loss
    view: OptionalView

    def run(self, bout: Bout) -> None:
        for b in bout.restarts(self.restarts):
            climb(b, self.steps, self.loss, self.view)


@register(
    "apgd-ce",
    title="APGD-CE",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2020,
    paper="arXiv:2003.01690",
    aliases=("apgd", "auto-pgd"),
    peers=("autoattack", "torchattacks", "art", "adv-lib"),
    random=True,
)
class APGDCE(_APGD):
    """Auto-PGD on cross-entropy (Croce & Hein 2020).

    Args:
        steps: gradients of each start. restarts: starts, each for the samples still standing.
        loss: what is climbed. view: what the model is shown instead, like `EOT(20)` for a random model.

    >>> import sparring as sp
    >>> sp.attack("apgd-ce:steps=50").spec
    'apgd-ce:steps=50'
    """

    steps: PositiveInt = 100
    restarts: PositiveInt = 1
    loss: Loss = cross_entropy
    view: OptionalView = None


@register(
    "apgd-dlr",
    title="APGD-DLR",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2020,
    paper="arXiv:2003.01690",
    peers=("autoattack", "torchattacks", "art", "adv-lib"),
    random=True,
)
class APGDDLR(_APGD):
    """Auto-PGD on the difference of logits ratio, which no scaling of the logits saturates (Croce & Hein 2020).

    Args:
        steps, restarts, loss, view: as for `APGDCE`.
    """

    steps: PositiveInt = 100
    restarts: PositiveInt = 1
    loss: Loss = dlr
    view: OptionalView = None
