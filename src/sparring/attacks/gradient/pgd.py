"""PGD: climb the loss from a random point of the ball, project after every step, start again for those who stand.

    x_0 ~ U(ball);   x_{k+1} = P(x_k + step * eps * steepest(grad L(x_k, y)))

`steepest`: the sign (Linf), the unit gradient (L2), the largest 1 % of the gradient (L1: SLIDE, Tramer & Boneh 2019,
arXiv:1904.13000; what a pixel has no room for goes to the next best). P is exact on ball and box together.
Madry et al. 2018, arXiv:1706.06083. Differs from the paper: the step is a fraction of eps (paper, MNIST: 1/30 of eps);
every iterate is judged and a fooled sample leaves; restarts go to the samples still standing.
Fails on: losses that saturate (zero gradients: use loss=margin or apgd-dlr), masked gradients.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.directions import plain
from sparring.blocks.pgd import pgd
from sparring.blocks.views.by_name import OptionalView
from sparring.bout import Bout
from sparring.losses import Loss, cross_entropy
from sparring.norms import L1, L2, Linf


@register(
    "pgd",
    title="PGD",
    sees="gradient",
    norms=(L1, L2, Linf),
    year=2017,
    paper="arXiv:1706.06083",
    aliases=("madry",),
    peers=("foolbox", "torchattacks", "art", "adv-lib", "cleverhans"),
    random=True,
    survey="Projected Gradient Descent (PGD) [123]",
)
class PGD(Attack):
    """Projected gradient ascent from random starts (Madry et al. 2018).

    Args:
        steps: of each start. step: the length of each as a fraction of eps; None = 2.5 / steps.
        restarts: random starts, each for the samples that no start before has fooled.
        loss: what is climbed. random_start: False = from the image itself.
        view: what the model is shown instead of the point, like `EOT(20)` for a random model.

    >>> import torch, sparring as sp
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> x, y = torch.tensor([[0.6, 0.4], [1.0, 0.0]]), torch.tensor([0, 0])
    >>> sp.PGD(steps=10)(net, x, y, sp.Threat("Linf", 0.2)).success
    tensor([ True, False])
    """

    steps: PositiveInt = 40
    step: PositiveFloat | None = None
    restarts: PositiveInt = 1
    loss: Loss = cross_entropy
    random_start: bool = True
    view: OptionalView = None

    def run(self, bout: Bout) -> None:
        step = self.step or 2.5 / self.steps
        for b in bout.restarts(self.restarts):
            start = b.ball.sample(b.noise) if self.random_start else b.x
            b.submit(pgd(b, start, self.steps, step, self.loss, self.view, plain))


@register(
    "bpda",
    title="BPDA",
    sees="gradient",
    norms=(L1, L2, Linf),
    approach="approximation",
    year=2018,
    paper="arXiv:1802.00420",
    aliases=("bpda-pgd",),
    peers=("art",),
    random=True,
    survey="BPDA [5]",
)
class BPDA(PGD):
    """PGD through a defense without useful gradients, by a stand-in for each of its stages (Athalye et al. 2018).

    The defended model declares the stand-ins (`sp.defend`), so this is PGD against `model.exposed()`, the same
    classifier to the last bit; on a model that is not defended it is PGD. Average over random stages with `view=eot20`.
    Fails on: stages whose declared twin is far from them.

    >>> import torch, sparring as sp
    >>> from sparring.defenses import defend
    >>> net = torch.nn.Linear(2, 2, bias=False).requires_grad_(False)
    >>> _ = net.weight.copy_(torch.eye(2))
    >>> safe = defend(net, torch.round, backward="straight_through")
    >>> x, y, threat = torch.tensor([[0.6, 0.4]]), torch.tensor([0]), sp.Threat("Linf", 0.2)
    >>> [bool(sp.attack(f"{name}:random_start=false")(safe, x, y, threat).success) for name in ("pgd", "bpda")]
    [False, True]
    """

    exposes: ClassVar[bool] = True
