"""RAND+FGSM: a random step first, to leave the kink in the loss at the image, then FGSM with what is left of eps.

    z = clip(x + alpha * eps * sign(N(0, I)));   x' = clip(z + (1 - alpha) * eps * sign(grad L(z, y)))

Tramer et al. 2017, arXiv:1705.07204. Differs from the paper: alpha is a fraction of eps (its MNIST setting, 0.05 of
0.3, is 1/6; the default here is its ImageNet setting, 1/2).
Fails on: what FGSM fails on.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import Linf


@register(
    "r-fgsm",
    title="RAND+FGSM",
    sees="gradient",
    norms=(Linf,),
    year=2017,
    paper="arXiv:1705.07204",
    aliases=("rfgsm", "rand-fgsm", "rand+fgsm"),
    peers=("torchattacks",),
    random=True,
)
class RFGSM(Attack):
    """A random sign step, then one gradient step (Tramer et al. 2017).

    Args:
        alpha: the share of eps that the random step takes, 0 to 1.
        loss: what is climbed.

    >>> import sparring as sp
    >>> sp.attack("r-fgsm:alpha=1/6")
    RFGSM(alpha=0.16666666666666666, loss=cross_entropy)
    """

    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5
    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        ball, eps = bout.ball, bout.ball.column(bout.eps)
        z = ball.project(bout.x + self.alpha * eps * bout.noise.signs(*bout.x.shape[1:], dtype=bout.x.dtype))
        g = bout.grad(z, self.loss)
        return ball.project(ball.step(z, g, (1 - self.alpha) * bout.eps))
