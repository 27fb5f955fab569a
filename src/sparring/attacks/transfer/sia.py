"""SIA: MI-FGSM on copies of the picture whose parts are changed each on its own.

    g = mean over 20 copies of the gradient at a copy;   a copy: 3 x 3 parts, each changed in one of ten ways

Made to transfer: `sp.attack("sia", surrogates=[net])`. Wang, Zhang & Zhang 2023, arXiv:2309.14700.

Differs from the paper: each image has cuts and changes of its own; what leaves the box is not clipped; small parts
drop the same share of frequencies as large ones.
Fails on: what MI-FGSM fails on; a surrogate that looks at other things than the model does.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.blocks.views.by_name import OptionalView
from sparring.blocks.views.parts import SIA
from sparring.norms import L1, L2, Linf


@register(
    "sia",
    title="SIA",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2023,
    paper="arXiv:2309.14700",
    random=True,
)
class StructureInvariant(MIFGSM):
    """MI-FGSM on copies whose parts are shifted, flipped, dimmed, blurred ... (Wang et al. 2023)."""

    view: OptionalView = SIA()
