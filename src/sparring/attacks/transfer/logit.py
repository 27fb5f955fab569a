"""The Logit attack: raise the logit of the target for many steps, on resized copies, with a blurred gradient.

    maximise z_t for 300 steps of eps / 8, by MI-FGSM through DI and TI

The gradient of cross-entropy vanishes as the target becomes likely; that of its logit does not, and targets need many
steps to transfer. `sp.attack("logit", surrogates=[net])`. Zhao, Liu & Larson 2021, arXiv:2012.11207.

Differs from the paper: steps are a fraction of eps, as long as its 2/255 at 16/255; the logit counts above the mean of
all, so that what a net adds to all of them does not matter (`loss=logit` is the paper's).
Fails on: small images, where the blur of 5 pixels is much; a surrogate that looks at other things than the model does.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import register
from sparring.attacks.gradient.mifgsm import MIFGSM
from sparring.blocks.directions import Odd
from sparring.blocks.views.augment import DI
from sparring.blocks.views.by_name import OptionalView
from sparring.losses import Loss, logit_above_mean
from sparring.norms import L1, L2, Linf


@register(
    "logit",
    title="Logit",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2020,
    paper="arXiv:2012.11207",
    random=True,
)
class Logit(MIFGSM):
    """MI-FGSM through DI and TI on the target's logit, for many steps (Zhao et al. 2021)."""

    steps: PositiveInt = 300
    step: PositiveFloat | None = 0.125
    loss: Loss = logit_above_mean
    view: OptionalView = DI(0.7)
    smooth: Odd = 5
