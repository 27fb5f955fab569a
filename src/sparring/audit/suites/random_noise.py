"""Random noise as an attack: what anybody gets without looking at the model. The bar that every attack must clear.

    x' = P(x + eps * steepest(n)),   n ~ N(0, 1)      (Linf: a random corner of the ball)

If it fools samples that gradient attacks do not, the gradients point nowhere (Carlini et al. 2019,
arXiv:1902.06705). It is not listed with the attacks, as nobody should use it for more than this.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sparring.attack import Attack, register
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf


@register(
    "noise",
    title="Random noise",
    sees="score",
    norms=(L0, L1, L2, Linf),
    visibility=("visible",),
    specificity=("untargeted",),
    approach="score",
    year=2019,
    paper="arXiv:1902.06705",
    random=True,
    listed=False,
)
class RandomNoise(Attack):
    """Random points as far from the image as the threat allows.

    Args:
        draws: points tried, each for the samples that none before has fooled.
    """

    draws: Annotated[int, Field(ge=1)] = 100

    def run(self, bout: Bout) -> None:
        for _ in range(self.draws):
            ball = bout.ball
            if ball.norm == L0:
                z = ball.sample(bout.noise)
            else:
                way = ball.steepest(bout.noise.normal(*ball.x.shape[1:], dtype=ball.x.dtype))
                z = ball.project(ball.x + ball.column(ball.eps) * way)
            bout.submit(z)
            bout.active()
            if not len(bout):
                return
