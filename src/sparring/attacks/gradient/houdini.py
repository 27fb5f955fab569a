"""Houdini: PGD on a smooth stand-in for a task's own loss, which may have no gradient at all.

    loss = P(score of the best other output - score of the true one > noise) * task loss,  noise ~ N(0, 1)
    x_{k+1} = P(x_k + step * eps * steepest(grad log loss))

For classifiers the task loss is 0/1, on the likeliest class or on the `top` likeliest. Any gradient attack takes the
loss ("apgd-ce:loss=houdini").
Cisse, Adi, Neverova, Keshet 2017, arXiv:1707.05373.

Differs from the paper: the best output that is not the true one stands in for the prediction, or nothing would be lost
where the model is right; the log keeps the gradient from vanishing far from the goal; random starts.
Fails on: what PGD on the margin fails on: with the plain 0/1 loss its steps are the same.
"""

from __future__ import annotations

from pydantic import PositiveFloat, PositiveInt

from sparring.attack import Attack, register
from sparring.blocks.pgd import pgd
from sparring.bout import Bout
from sparring.losses import houdini_top
from sparring.norms import L2, Linf


@register(
    "houdini",
    title="Houdini",
    sees="gradient",
    norms=(L2, Linf),
    year=2017,
    paper="arXiv:1707.05373",
    random=True,
    survey="Houdini [34]",
)
class Houdini(Attack):
    """PGD on the Houdini loss of a classifier (Cisse et al. 2017).

    Args:
        steps: of each start. step: the length of each as a fraction of eps; None = 2.5 / steps.
        restarts: random starts, each for the samples that no start before has fooled.
        top: the task: is the class in question among the `top` likeliest? A model is fooled, as ever, if the very
            likeliest class is what was wanted.

    >>> import sparring as sp
    >>> sp.attack("houdini:top=5").spec
    'houdini:top=5'
    """

    steps: PositiveInt = 40
    step: PositiveFloat | None = None
    restarts: PositiveInt = 1
    top: PositiveInt = 1

    def run(self, bout: Bout) -> None:
        step = self.step or 2.5 / self.steps
        for b in bout.restarts(self.restarts):
            b.submit(pgd(b, b.ball.sample(b.noise), self.steps, step, houdini_top(self.top)))
