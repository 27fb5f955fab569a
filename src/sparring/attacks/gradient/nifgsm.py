"""NI-FGSM: MI-FGSM that takes its gradient one momentum step ahead, where it is about to be (Nesterov).

    g = grad L(x_k + decay * step * eps * m_k);   m_{k+1} = decay * m_k + g / mean|g|
    x_{k+1} = P(x_k + step * eps * steepest(m_{k+1}))

Lin et al. 2020, arXiv:1908.06281. Differs from the paper: g is divided by its mean magnitude, as in the authors' code
(by its sum, as printed, the look-ahead would be next to nothing); the points ahead are judged in place of the iterates;
L1 and L2 too. Fails on: as MI-FGSM, it is built to transfer.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.norms import L1, L2, Linf


@register(
    "nifgsm",
    title="NI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2019,
    paper="arXiv:1908.06281",
    aliases=("ni-fgsm",),
    peers=("torchattacks",),
)
class NIFGSM(MIFGSM):
    """MI-FGSM with a look-ahead (Lin et al. 2020).

    Args:
        lookahead: False = MI-FGSM. The others as for `MIFGSM`; decay = 0 is BIM.
    """

    lookahead: bool = True
