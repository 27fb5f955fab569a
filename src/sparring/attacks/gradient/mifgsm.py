"""MI-FGSM (M-BIM): BIM whose step follows a running sum of normalised gradients.

    m_{k+1} = decay * m_k + g / |g|_1;   x_{k+1} = P(x_k + step * eps * steepest(m_{k+1}))

Its fields make the whole family, alone or together: `view` (SI, DI), `lookahead` (NI), `smooth` (TI), `neighbours`
(VMI).
Dong et al. 2018, arXiv:1710.06081. Differs from the paper: a zero gradient leaves the momentum as it is instead of
making it NaN; L1 and L2 too.
Fails on: what BIM fails on; built to transfer to other models rather than to be the strongest white-box attack.
"""

from __future__ import annotations

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Odd, momentum, smoothed
from sparring.blocks.pgd import pgd
from sparring.blocks.sources import ahead, here, tuned
from sparring.blocks.views.by_name import OptionalView
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
        view: what the model is shown instead of the point, like "si5+di"; such points are judged at the end only.
        lookahead: take the gradient where the momentum would carry the point.
        smooth: the side of the kernel that blurs the gradient, 1 = none.
        neighbours: random points around the last one whose mean gradient tunes the next, 0 = none.
        spread: how far they lie, as a multiple of eps.

    >>> import sparring as sp
    >>> sp.attack("mifgsm:view=di+si5,smooth=7,lookahead=true").spec
    'mifgsm:view=di0.5+si5,lookahead=True,smooth=7'
    """

    steps: PositiveInt = 10
    step: PositiveFloat | None = None
    decay: NonNegativeFloat = 1.0
    loss: Loss = cross_entropy
    view: OptionalView = None
    lookahead: bool = False
    smooth: Odd = 1
    neighbours: NonNegativeInt = 0
    spread: NonNegativeFloat = 1.5

    def run(self, bout: Bout) -> Tensor:
        rule = smoothed(self.smooth, momentum(self.decay))
        source = tuned(ahead(self.decay) if self.lookahead else here, self.neighbours, self.spread)
        return pgd(bout, bout.x, self.steps, self.step or 1 / self.steps, self.loss, self.view, rule, source)
