"""BPDA: PGD through a defense that has no useful gradient, with the gradient of a stand-in for each of its stages.

    x_{k+1} = P(x_k + step * eps * steepest(J(x_k)^T grad L(s(x_k)))),   J the Jacobian of a twin of the stage s, or 1

What stands for a stage is declared by the defended model (`sp.defend`), so this is PGD against `model.exposed()`: the
same classifier to the last bit. On a model that is not defended it is PGD. Athalye et al. 2018, arXiv:1802.00420.
Differs from the paper: none of its attacks is tied to one defense; average over random stages with `view=eot20`.
Fails on: stages whose declared twin is far from them.
"""

from __future__ import annotations

from typing import ClassVar

from sparring.attack import register
from sparring.attacks.gradient.pgd import PGD
from sparring.norms import L1, L2, Linf


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
    """PGD that knows the defense and goes around its gradients (Athalye et al. 2018).

    Args:
        steps, step, restarts, loss, random_start, view: as for `PGD`.

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
