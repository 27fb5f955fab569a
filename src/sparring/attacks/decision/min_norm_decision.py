"""The smallest perturbation that several attacks find together that see classes alone, under one budget.

One after the other in one bout, each from the nearest point found so far. Which ones: those that fail on different
boundaries, flat and curved ones (as AttackBench does for gradients, Cina et al. 2025, arXiv:2404.19460).

Differs from the paper's best-of ensemble: there each attack starts anew, and all of them run in full.
Fails on: targets that no noise is mistaken for.
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
    L1: (Turn("geoda", 0.5), Turn("geoda:frequencies=1")),
    L2: (Turn("surfree", most=100), Turn("cgba", most=1000), Turn("cgba:frequencies=1", 0.5), Turn("surfree")),
    Linf: (Turn("rays", most=4000), Turn("adba")),
}
"""Attacks in their order, each with its share of the queries that are left."""


@register(
    "min-norm-decision",
    title="Best of minimum norm, from classes",
    sees="decision",
    norms=(L2, Linf, L1, L0),
    aim="minimum",
    approach="decision",
    year=2026,
    paper="arXiv:2404.19460",
    random=True,
)
class DecisionMinimumNorm(Attack):
    """Several decision attacks in turn, each from the best point so far.

    Args:
        queries: for each image, all attacks together; None = what the budget of the call allows, 2,000 without one.
        attacks: specs joined by "+", sharing the queries evenly; None = those that fit the norm best.
    """

    queries: PositiveInt | None = None
    attacks: str | None = None

    def run(self, bout: Bout) -> None:
        turns = even(self.attacks) if self.attacks else PORTFOLIO[bout.ball.norm]
        take_turns(bout, turns, self.queries or bout.queries_left or QUERIES, attack)
