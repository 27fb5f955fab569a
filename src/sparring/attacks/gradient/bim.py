"""BIM (I-FGSM): FGSM in small steps from the image, projected after each.

    x_{k+1} = P(x_k + step * eps * sign(grad L(x_k, y))),   x_0 = x

Kurakin, Goodfellow, Bengio 2016, arXiv:1607.02533. Differs from the paper: the step is a fraction of eps (the paper:
one grey level, min(eps + 4, 1.25 eps) steps on the 0-255 scale); every iterate is judged, not only the last; L1, L2.
Fails on: what PGD fails on, and has no random start to leave a kink with.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.pgd import pgd
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L1, L2, Linf


@register(
    "bim",
    title="BIM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2016,
    paper="arXiv:1607.02533",
    aliases=("i-fgsm", "ifgsm"),
    peers=("foolbox", "torchattacks", "art", "cleverhans"),
    survey="BIM and ILCM [98]",
)
class BIM(Attack):
    """FGSM in small projected steps (Kurakin et al. 2016).

    Args:
        steps: how many. step: the length of each as a fraction of eps; None = 2.5 / steps.
        loss: what is climbed.
    """

    steps: PositiveInt = 40
    step: PositiveFloat | None = None
    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        return pgd(bout, bout.x, self.steps, self.step or 2.5 / self.steps, self.loss)
