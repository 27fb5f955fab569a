"""TI-FGSM: MI-FGSM on a blurred gradient, which stands for the gradients of many shifted copies of the image.

    g = W * grad L(x),   W a Gaussian kernel, each channel by itself, before the gradient is normalised

Dong et al. 2019, arXiv:1904.02884; `view=di0.7` makes it TI-DIM. Differs from the paper: momentum unless decay = 0; any
number of channels; L1 and L2 too.
Fails on: as MI-FGSM, it is built to transfer. The paper's 15 taps are for images of 299 pixels: smooth=5 fits 28,
and smooth=3 is hardly a blur, its outer taps are at 3 standard deviations.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.blocks.directions import Odd
from sparring.norms import L1, L2, Linf


@register(
    "tifgsm",
    title="TI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2019,
    paper="arXiv:1904.02884",
    aliases=("ti-fgsm",),
    peers=("torchattacks",),
)
class TIFGSM(MIFGSM):
    """MI-FGSM on blurred gradients (Dong et al. 2019).

    Args:
        smooth: the side of the kernel, odd; 1 = MI-FGSM. The others as for `MIFGSM`.
    """

    smooth: Odd = 15
