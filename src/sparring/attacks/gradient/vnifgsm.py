"""VNI-FGSM: VMI-FGSM that takes its gradient one momentum step ahead; the neighbours stay around the iterate.

    g_k = grad L(x_k + step * eps * decay * m_k)   in VMI-FGSM's update

Wang & He 2021, arXiv:2103.15571. Differs from the paper: as VMI-FGSM and NI-FGSM. Fails on: as MI-FGSM, it is built to
transfer.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.vmifgsm import VMIFGSM
from sparring.norms import L1, L2, Linf


@register(
    "vnifgsm",
    title="VNI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2021,
    paper="arXiv:2103.15571",
    aliases=("vni-fgsm",),
    peers=("torchattacks",),
    random=True,
)
class VNIFGSM(VMIFGSM):
    """VMI-FGSM with a look-ahead (Wang & He 2021).

    Args:
        lookahead: False = VMI-FGSM. The others as for `MIFGSM`.
    """

    lookahead: bool = True
