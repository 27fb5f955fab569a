"""APGD-L1: the parameter-free attack for sparse perturbations, as its paper runs it.

Sparse steps with adapting sparsity on the exact L1 ball with its box, at 3 eps, 2 eps and eps, five restarts on
cross-entropy: `blocks.apgd_l1`. Croce & Hein 2021, "Mind the box", arXiv:2103.01208.

Differs from the reference code: as in `apgd`. `apgd-t` under L1 is its targeted companion.
Fails on: masked gradients; saturated softmax (then loss=dlr).
"""

from __future__ import annotations

from pydantic import PositiveInt

from sparring.attack import register
from sparring.attacks.gradient.apgd import APGDCE
from sparring.norms import L1


@register(
    "apgd-l1",
    title="APGD-L1",
    sees="gradient",
    norms=(L1,),
    year=2021,
    paper="arXiv:2103.01208",
    peers=("autoattack", "adv-lib"),
    random=True,
)
class APGDL1(APGDCE):
    """Auto-PGD under L1 with five restarts (Croce & Hein 2021).

    Args:
        steps, restarts, loss, view: as for `APGDCE`.
    """

    restarts: PositiveInt = 5
