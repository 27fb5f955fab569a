"""FGSM: one step to the corner of the ball that a linear model would fear most.

    x' = argmax over the ball and the box of <grad_x L(x, y), x' - x>;   Linf: clip(x + eps * sign(grad))

Targeted, the loss is log p of the target. Goodfellow, Shlens, Szegedy 2014, arXiv:1412.6572.

Differs from the paper: L0, L1 and L2 too, each the exact maximiser inside ball *and* box, so that no budget is lost
on pixels that are at their bound already (Linf: nothing to gain, it is the paper's).
Fails on: anything that is not nearly linear; zero gradients. Never judge a model by it alone.
"""

from __future__ import annotations

from torch import Tensor

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L0, L1, L2, Linf


@register(
    "fgsm",
    title="FGSM",
    sees="gradient",
    norms=(L0, L1, L2, Linf),
    visibility=("optimal", "visible"),
    year=2014,
    paper="arXiv:1412.6572",
    aliases=("fgm", "fast-gradient-sign"),
    peers=("foolbox", "torchattacks", "art", "cleverhans"),
    survey="FGSM [66]",
)
class FGSM(Attack):
    """One step along the gradient to the edge of the ball (Goodfellow et al. 2014).

    Args:
        loss: what is climbed; the paper's is cross-entropy.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> sp.FGSM()(net, torch.tensor([[0.6, 0.4]]), torch.tensor([0]), sp.Threat("Linf", 0.2)).x_adv
    tensor([[0.4000, 0.6000]])
    """

    loss: Loss = cross_entropy

    def run(self, bout: Bout) -> Tensor:
        return bout.ball.linear_maximizer(bout.grad(bout.x, self.loss))
