"""APGD-DLR: Auto-PGD on a loss that no scaling of the logits saturates.

    maximise  (max_{i != y} z_i - z_y) / (z_(1) - z_(3))   as `apgd` does with cross-entropy

Croce & Hein 2020, arXiv:2003.01690. Differs from the reference code: as in `apgd`; with two classes the loss is the
margin. Fails on: masked gradients.
"""

from __future__ import annotations

from sparring.attack import register
from sparring.attacks.gradient.apgd import APGDCE
from sparring.losses import Loss, dlr
from sparring.norms import L1, L2, Linf


@register(
    "apgd-dlr",
    title="APGD-DLR",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2020,
    paper="arXiv:2003.01690",
    peers=("autoattack", "torchattacks", "art", "adv-lib"),
    random=True,
)
class APGDDLR(APGDCE):
    """Auto-PGD on the difference of logits ratio, which no scaling of the logits saturates (Croce & Hein 2020).

    Args:
        steps, restarts, loss, view: as for `APGDCE`.
    """

    loss: Loss = dlr
