"""The smallest perturbation that several attacks find together that see scores, under one budget.

One after the other in one bout, each from the nearest point found so far: random search in a ball that shrinks, and
attacks that need no score, where those come near in few queries (as AttackBench does for gradients, Cina et al. 2025,
arXiv:2404.19460).

Differs from the paper's best-of ensemble: there each attack starts anew, and all of them run in full.
Fails on: scores that are rounded so far that random search sees no change; large images in few queries.
"""

from __future__ import annotations

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.attacks import attack
from sparring.blocks.portfolio import Turn, even, take_turns
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf, Norm

QUERIES = 2000
PORTFOLIO: dict[Norm, tuple[Turn, ...]] = {
    L0: (Turn("pointwise:restarts=1000"),),
    L1: (Turn("geoda", most=200), Turn("geoda:frequencies=1", 0.3), Turn("square-min")),
    L2: (
        Turn("square-min", most=300),
        Turn("cgba", most=1000),
        Turn("cgba:frequencies=1", 0.5),
        Turn("surfree"),
    ),
    Linf: (Turn("signhunter-min", most=4000), Turn("square-min")),
}
"""Attacks in their order, see `Turn`."""
COLOUR = PORTFOLIO | {Linf: (Turn("signhunter-min", most=100), Turn("square-min"))}
"""For pictures in colour: blocks of the flattened image do not know that its colours belong together."""


@register(
    "min-norm-score",
    title="Best of minimum norm, from scores",
    sees="score",
    norms=(L2, Linf, L1, L0),
    aim="minimum",
    approach="approximation",
    year=2026,
    paper="arXiv:2404.19460",
    random=True,
)
class ScoreMinimumNorm(Attack):
    """Several attacks in turn that see scores at most, each from the best point so far.

    Args:
        queries: for each image, all attacks together; None = what the budget of the call allows, 2,000 without one.
        attacks: specs joined by "+", sharing the queries evenly; None = those that fit the norm best.
    """

    queries: PositiveInt | None = None
    attacks: str | None = None

    def run(self, bout: Bout) -> None:
        best = COLOUR if bout.x.dim() == 4 and bout.x.shape[1] > 1 else PORTFOLIO
        turns = even(self.attacks) if self.attacks else best[bout.ball.norm]
        take_turns(bout, turns, self.queries or bout.queries_left or QUERIES, attack)
