"""SI-NI-FGSM: NI-FGSM on the mean gradient of scale copies of the image, which a model sees much alike.

    g = 1/m sum_{i<m} grad_x L(x / 2^i)   in place of NI-FGSM's gradient

Lin et al. 2020, arXiv:1908.06281. `lookahead=false` is SI-MI-FGSM. Differs from the paper: copies fade to black
(`view=si5@0.5`: to grey, as in the authors' code); the first copy is the point itself, hence judged. Else as NI-FGSM.
Fails on: as MI-FGSM, it is built to transfer.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.nifgsm import NIFGSM
from sparring.blocks.views.augment import SI
from sparring.blocks.views.by_name import OptionalView
from sparring.norms import L1, L2, Linf


@register(
    "sinifgsm",
    title="SI-NI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2019,
    paper="arXiv:1908.06281",
    aliases=("si-ni-fgsm", "sifgsm", "si-fgsm"),
    peers=("torchattacks",),
)
class SINIFGSM(NIFGSM):
    """NI-FGSM averaged over scale copies (Lin et al. 2020).

    Args:
        view: "si5" = five copies, of scales 1 to 1/16; "si1" = NI-FGSM. The others as for `MIFGSM`.
    """

    view: OptionalView = SI(5)
