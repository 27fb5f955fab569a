"""EOT: climb the mean of the loss over random views, so that the picture fools however it is looked at.

    x_{k+1} = P(x_k + step * eps * steepest(g_k))
    g_k = the gradient of  E_t[L(t(x_k))] - penalty * E_t[|LAB(t(x_k)) - LAB(t(x))|_2]

t is drawn afresh for each copy, for each sample. Athalye et al. 2018, arXiv:1707.07397.

Differs from the paper: a ball of radius eps bounds the perturbation (the penalty alone, as in the paper, is
`penalty` with a large eps); untargeted too. Views are searched through and never judged: success is about the point
that comes out, seen straight on. Its success over views is `blocks.views.view_success`, on draws of its own.
Fails on: views wider than any one perturbation can survive; transforms without a gradient; too few copies.
"""

from __future__ import annotations

from typing import Literal

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from sparring.attack import Attack, register
from sparring.blocks.pgd import pgd
from sparring.blocks.sources import here
from sparring.blocks.views.chain import Chain
from sparring.blocks.views.eot import EOT, faithful, of_probabilities
from sparring.blocks.views.transforms import Clip, TransformField, paper_2d
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L1, L2, Linf


@register(
    "eot",
    title="EOT",
    sees="gradient",
    norms=(L1, L2, Linf),
    visibility=("optimal", "physical"),
    year=2017,
    paper="arXiv:1707.07397",
    aliases=("expectation-over-transformation",),
    peers=("art",),
    random=True,
    survey="Expectation Over Transformation (EOT) [6]",
)
class EOTAttack(Attack):
    """Gradient ascent on the mean loss over random views (Athalye et al. 2018).

    Args:
        steps: how many. step: the length of each as a fraction of eps; None = 2.5 / steps.
        copies: views for each gradient.
        transform: what a view is, see `blocks.views.transforms`; "2d" is the paper's set.
        loss: what is climbed. mean: of the "losses", E[log p], or of the "probabilities", log E[p]: for a model that
            averages its own answers; the loss is then cross-entropy.
        penalty: on the change in LAB that the eye sees.

    >>> import sparring as sp
    >>> sp.attack("eot:transform=rotation+scale,copies=10").settings()["transform"]
    'rotation:22.5+scale:0.9:1.4'
    """

    steps: PositiveInt = 50
    step: PositiveFloat | None = None
    copies: PositiveInt = 20
    transform: TransformField = paper_2d()
    loss: Loss = cross_entropy
    mean: Literal["losses", "probabilities"] = "losses"
    penalty: NonNegativeFloat = 0.0

    def run(self, bout: Bout) -> Tensor:
        show = Chain((self.transform, Clip()))
        source = faithful({"losses": here, "probabilities": of_probabilities}[self.mean], show, self.penalty)
        step, view = self.step or 2.5 / self.steps, EOT(self.copies, show)
        return pgd(bout, bout.x, self.steps, step, self.loss, view, source=source)
