"""BSR: MI-FGSM on copies of the picture whose parts are shuffled and rotated.

    g = mean of the gradients at 20 copies;   a copy: 2 x 2 parts shuffled, each strip turned by 24 degrees at most

Made to transfer: `sp.attack("bsr", surrogates=[net])`. Wang, He, Wang & Wang 2024, arXiv:2308.10299.

Differs from the paper: each image has cuts, orders and angles of its own.
Fails on: what MI-FGSM fails on; a surrogate that looks at other things than the model does.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.blocks.views.by_name import OptionalView
from sparring.blocks.views.parts import BSR
from sparring.norms import L1, L2, Linf


@register(
    "bsr",
    title="BSR",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2023,
    paper="arXiv:2308.10299",
    random=True,
)
class BlockShuffle(MIFGSM):
    """MI-FGSM on copies whose parts are shuffled and rotated (Wang et al. 2024)."""

    view: OptionalView = BSR()
