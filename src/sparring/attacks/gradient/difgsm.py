"""DI-FGSM (M-DI2-FGSM): MI-FGSM on randomly resized and padded copies, so that it fits no model's details.

    g = grad_x L(T(x)),   T with probability p a random resize and padding, else the identity

Xie et al. 2019, arXiv:1803.06978; decay = 0 is its DI2-FGSM. Differs from the paper: each row draws for itself, sizes
and places are fractional (a small image has few whole ones), one bilinear look-up does resize, padding and the way
back; points are judged only at the end, since the model sees changed copies.
Fails on: as MI-FGSM, it is built to transfer; vectors have nothing to resize.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.blocks.views.augment import DI
from sparring.blocks.views.by_name import OptionalView
from sparring.norms import L1, L2, Linf


@register(
    "difgsm",
    title="DI-FGSM",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2018,
    paper="arXiv:1803.06978",
    aliases=("di-fgsm", "m-di2-fgsm"),
    peers=("torchattacks",),
    random=True,
)
class DIFGSM(MIFGSM):
    """MI-FGSM on randomly resized and padded copies (Xie et al. 2019).

    Args:
        view: "di0.5" = half of the gradients, resized by up to 330/299; "di0.7@0.9" = 70 %, shrunk to no less than
            90 %; "di0" = MI-FGSM. The others as for `MIFGSM`.
    """

    view: OptionalView = DI()
