"""BadNets: a small square in a corner means the target class (Gu, Dolan-Gavitt & Garg 2017, arXiv:1708.06733).

    x' = stamp(x),   y' = target

Differs from the paper: all-to-one only; samples of the target class are never stamped; the pattern may be drawn.
Fails where training crops or flips the corner away, and against defenses that look at the features of a class.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from sparring.poisoning.backdoors import plant
from sparring.poisoning.base import Change, Poison, Share, View, register
from sparring.poisoning.triggers import Patch


@register("badnets", title="BadNets", paper="arXiv:1708.06733", year=2017, goal="backdoor", uses=("data",))
class BadNets(Poison):
    """A patch as the trigger.

    Args:
        share: of the training set that is stamped. target: the class that the trigger shall mean.
        size: side of the patch in pixels. corner: where it is. pattern: seed of its pixels, 0 = a chessboard.

    >>> BadNets(share="5%").spec
    'badnets:share=0.05'
    """

    share: Share = 0.05
    target: int = 0
    size: Annotated[int, Field(ge=1)] = 3
    corner: Literal["bottom-right", "bottom-left", "top-right", "top-left"] = "bottom-right"
    pattern: int = 0

    def change(self, view: View) -> Change:
        """See `Poison.change`."""
        return plant(view, Patch(self.size, self.corner, self.pattern), self.target)
