"""Blended injection: a faint fixed image means the target class (Chen et al. 2017, arXiv:1712.05526).

    x' = (1 - alpha) x + alpha noise,   y' = target

Differs from the paper: the noise is the paper's random pattern only; it trains and tests with one alpha. Fails where
alpha is near the noise of the images themselves.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from sparring.poisoning.backdoors import plant
from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.triggers import Blend


@register("blended", title="blended injection", paper="arXiv:1712.05526", year=2017, goal="backdoor", uses=("data",))
class Blended(Poison):
    """An image of noise as the trigger.

    Args:
        share: of the training set that is blended. target: the class that the trigger shall mean.
        alpha: the weight of the noise, in (0, 1]. pattern: seed of the noise.
    """

    share: Share = 0.05
    target: int = 0
    alpha: Annotated[float, Field(gt=0, le=1)] = 0.2
    pattern: int = 0

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        return plant(view, Blend(self.alpha, self.pattern), self.target)
