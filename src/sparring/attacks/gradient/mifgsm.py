"""MI-FGSM (M-BIM): BIM whose step follows a running sum of normalised gradients.

    m_{k+1} = decay * m_k + g / |g|_1;   x_{k+1} = P(x_k + step * eps * steepest(m_{k+1}))

Its fields make the whole family: `view` (SI, DI), `lookahead` (NI), `smooth` (TI), `neighbours` (VMI), see below.
Dong et al. 2018, arXiv:1710.06081. Differs from the paper: a zero gradient leaves the momentum as it is instead of
making it NaN; L1 and L2 too.
Fails on: what BIM fails on; built to transfer to other models rather than to be the strongest white-box attack.
"""

from __future__ import annotations

from typing import Any

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.directions import Odd, momentum, smoothed
from sparring.blocks.pgd import pgd
from sparring.blocks.sources import ahead, here, tuned
from sparring.blocks.views.augment import DI, SI
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


TUNED = "arXiv:2103.15571"
FAMILY: dict[str, Any] = {"sees": "gradient", "norms": (L1, L2, Linf), "peers": ("torchattacks",)}


@register("nifgsm", title="NI-FGSM", year=2019, paper="arXiv:1908.06281", aliases=("ni-fgsm",), **FAMILY)
class NIFGSM(MIFGSM):
    """MI-FGSM with its gradient taken one momentum step ahead: at x_k + decay * step * eps * m_k (Lin et al. 2020).

    Differs from the paper: g is divided by its mean magnitude, as in the authors' code; points ahead are judged.
    """

    lookahead: bool = True


@register(
    "sinifgsm",
    title="SI-NI-FGSM",
    year=2019,
    paper="arXiv:1908.06281",
    aliases=("si-ni-fgsm", "sifgsm", "si-fgsm"),
    **FAMILY,
)
class SINIFGSM(NIFGSM):
    """NI-FGSM on the mean gradient of scale copies x / 2^i (Lin et al. 2020). `lookahead=false` is SI-MI-FGSM.

    Differs from the paper: copies fade to black (`view=si5@0.5`: to grey, as in the authors' code).
    """

    view: OptionalView = SI(5)


@register(
    "difgsm",
    title="DI-FGSM",
    year=2018,
    paper="arXiv:1803.06978",
    aliases=("di-fgsm", "m-di2-fgsm"),
    random=True,
    **FAMILY,
)
class DIFGSM(MIFGSM):
    """MI-FGSM on copies that are randomly resized and padded, with probability 0.5 (Xie et al. 2019).

    Differs from the paper: each image draws for itself, sizes are fractional; points are judged at the end only.
    """

    view: OptionalView = DI()


@register("tifgsm", title="TI-FGSM", year=2019, paper="arXiv:1904.02884", aliases=("ti-fgsm",), **FAMILY)
class TIFGSM(MIFGSM):
    """MI-FGSM on a gradient blurred by a Gaussian of 15 taps, as over shifted copies (Dong et al. 2019).

    The 15 taps are for images of 299 pixels: `smooth=5` fits 28. `view=di0.7` makes it TI-DIM.
    """

    smooth: Odd = 15


@register(
    "vmifgsm", title="VMI-FGSM", year=2021, paper="arXiv:2103.15571", aliases=("vmi-fgsm",), random=True, **FAMILY
)
class VMIFGSM(MIFGSM):
    """MI-FGSM whose gradient is corrected by how the one before differed from 20 around it (Wang & He 2021).

    Differs from the paper: neighbours are asked about when the next step needs them, so the last step costs none.
    """

    neighbours: NonNegativeInt = 20


@register(
    "vnifgsm", title="VNI-FGSM", year=2021, paper="arXiv:2103.15571", aliases=("vni-fgsm",), random=True, **FAMILY
)
class VNIFGSM(VMIFGSM):
    """VMI-FGSM with its gradient taken one momentum step ahead (Wang & He 2021). The neighbours stay behind."""

    lookahead: bool = True
