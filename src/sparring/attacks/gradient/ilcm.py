"""ILCM: BIM towards the class that the model finds least likely, chosen once on the clean image.

    t = argmin over i != y of z_i(x);   x_{k+1} = P(x_k - step * eps * sign(grad CE(x_k, t)))

Kurakin, Goodfellow, Bengio 2016, arXiv:1607.02533. Differs from the paper: the true class is never the target; the
step is a fraction of eps; the bout's goal decides what success is, so for labels any misclassification counts
(give `Targeted(t)` to count only the target, which is then followed instead).
Fails on: small eps; the least likely class is the farthest away.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.pgd import pgd
from sparring.bout import Bout
from sparring.losses import towards
from sparring.norms import L1, L2, Linf


@register(
    "ilcm",
    title="ILCM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2016,
    paper="arXiv:1607.02533",
    aliases=("least-likely", "iterative-least-likely"),
    peers=("torchattacks",),
    survey="BIM and ILCM [98]",
)
class ILCM(Attack):
    """BIM towards the least likely class (Kurakin et al. 2016).

    Args:
        steps: how many. step: the length of each as a fraction of eps; None = 2.5 / steps.
    """

    steps: PositiveInt = 40
    step: PositiveFloat | None = None

    def run(self, bout: Bout) -> Tensor:
        if bout.goal.t is None:
            bout.goal = bout.goal.aim(bout.least_likely())
        return pgd(bout, bout.x, self.steps, self.step or 2.5 / self.steps, towards)
