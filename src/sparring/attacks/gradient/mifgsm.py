"""MI-FGSM (M-BIM): BIM whose step follows a running sum of normalised gradients.

    m_{k+1} = decay * m_k + g / |g|_1;   x_{k+1} = P(x_k + step * eps * steepest(m_{k+1}))

Dong et al. 2018, arXiv:1710.06081. Differs from the paper: a zero gradient leaves the momentum as it is instead of
making it NaN; L1 and L2 too.
Fails on: what BIM fails on; built to transfer to other models rather than to be the strongest white-box attack.
"""

from __future__ import annotations

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.ascend import ascend
from sparring.blocks.rules import momentum
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L1, L2, Linf


@register(
    "mifgsm",
    title="MI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2017,
    paper="arXiv:1710.06081",
    aliases=("mi-fgsm", "mim", "m-bim"),
    peers=("foolbox", "torchattacks", "art"),
    survey="Momentum Iterative Method (M-BIM) [44]",
)
class MIFGSM(Attack):
    """BIM with momentum (Dong et al. 2018).

    Args:
        steps: how many. step: the length of each as a fraction of eps; None = 1 / steps, as in the paper.
        decay: of the momentum, 0 = BIM. loss: what is climbed.
    """

    steps: PositiveInt = 10
    step: PositiveFloat | None = None
    decay: NonNegativeFloat = 1.0
    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        return ascend(bout, bout.x, self.steps, self.step or 1 / self.steps, self.loss, rule=momentum(self.decay))
