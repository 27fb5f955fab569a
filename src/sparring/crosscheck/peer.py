"""How an attack of a peer is called, and which attacks are compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sparring.crosscheck.watch import Watched

PGD_STEPS, APGD_STEPS, SEARCH_STEPS = 40, 50, 100
PGD_STEP = 2.5 / PGD_STEPS
"as a fraction of eps"
CW_SEARCH, CW_STEPS, CW_RATE, CW_CONST = 3, 50, 0.05, 0.1
NAMES = ("FGSM", "PGD", "APGD-CE", "C&W", "DDN", "FMN")
"in this order"
SMALLEST = ("C&W", "DDN", "FMN")
"those that look for the smallest perturbation, and know no eps"

Answer = tuple[Tensor, Tensor | None]
Run = Callable[[Watched, Tensor, Tensor], Answer]
"(net, images in [0, 1], labels) -> points, and of which it says that they fool: bool [n], or None if it says nothing"


@dataclass(frozen=True)
class Setting:
    """What an attack is run with: the norm's name, eps in [0, 1] pixels, the number of classes, a seed."""

    norm: str
    eps: float
    classes: int
    seed: int

    @property
    def p(self) -> float:
        """The norm's exponent."""
        return {"L1": 1.0, "L2": 2.0, "Linf": float("inf")}[self.norm]


def moved(points: Tensor, x: Tensor) -> Tensor:
    """bool [n]: it is not the clean image. What attacks claim that hand the clean image back where they fail."""
    return (points != x).flatten(1).any(1)
