"""VMI-FGSM: MI-FGSM whose gradient is corrected by how the one before differed from those around it.

    m_{k+1} = decay * m_k + (g_k + v_k) / mean|g_k + v_k|;   v_{k+1} = mean_i grad L(x_k + r_i) - g_k,  v_0 = 0
    r_i ~ U(-spread * eps, spread * eps)

Wang & He 2021, arXiv:2103.15571. Differs from the paper: the neighbours are asked about when the next step needs them,
so a sample that falls, and the last step, cost none; L1 and L2 too. Fails on: as MI-FGSM, it is built to transfer.
"""

from __future__ import annotations

from pydantic import NonNegativeInt

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.norms import L1, L2, Linf


@register(
    "vmifgsm",
    title="VMI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2021,
    paper="arXiv:2103.15571",
    aliases=("vmi-fgsm",),
    peers=("torchattacks",),
    random=True,
)
class VMIFGSM(MIFGSM):
    """MI-FGSM with variance tuning (Wang & He 2021).

    Args:
        neighbours: gradients around each point, 0 = MI-FGSM. spread: how far they lie, as a multiple of eps.
            The others as for `MIFGSM`.
    """

    neighbours: NonNegativeInt = 20
