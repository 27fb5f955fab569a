"""APGD-CE: projected gradient ascent without a step size to choose.

The update and the checkpoints are in `blocks.apgd_linf_l2`, the L1 version in `blocks.apgd_l1`; it starts
from random points at distance eps. `apgd-dlr` differs in its loss alone, `apgd-l1` in its restarts.
Croce & Hein 2020, arXiv:2003.01690; L1: Croce & Hein 2021, arXiv:2103.01208.

Differs from the reference code: the fooled leave inside a run; projections are exact on ball and box together;
the loss at the start counts when rises are counted at the first checkpoint (there: an unset zero); the last point
costs no gradient.
Fails on: saturated softmax (try apgd-dlr), masked gradients.
"""

from __future__ import annotations

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.apgd import apgd
from sparring.blocks.views.by_name import OptionalView
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy, dlr
from sparring.norms import L1, L2, Linf


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
class APGDCE(Attack):
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

    def run(self, bout: Bout) -> None:
        for b in bout.restarts(self.restarts):
            apgd(b, self.steps, self.loss, self.view)


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
class APGDDLR(APGDCE):
    """Auto-PGD on the difference of logits ratio, which no scaling of the logits saturates (Croce & Hein 2020).

        maximise  (max_{i != y} z_i - z_y) / (z_(1) - z_(3))

    With two classes the loss is the margin.
    """

    loss: Loss = dlr


@register(
    "apgd-l1",
    title="APGD-L1",
    sees="gradient",
    norms=(L1,),
    year=2021,
    paper="arXiv:2103.01208",
    peers=("autoattack", "adv-lib"),
    random=True,
)
class APGDL1(APGDCE):
    """Auto-PGD under L1 with five restarts, at 3 eps, 2 eps and eps (Croce & Hein 2021)."""

    restarts: PositiveInt = 5
