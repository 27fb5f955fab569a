"""The smallest perturbation that several attacks find together that see classes alone, under one budget.

One after the other in one bout, each from the nearest point found so far. Which ones: those that fail on different
boundaries, flat and curved ones (as AttackBench does for gradients, Cina et al. 2025, arXiv:2404.19460).

Differs from the paper's best-of ensemble: there each attack starts anew, and all of them run in full.
Fails on: targets that no noise is mistaken for; budgets below some thousand queries, where its best member alone is a
few per cent nearer: it pays for complements.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.attacks import attack
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf, Norm

QUERIES = 2000
PORTFOLIO: dict[Norm, tuple[tuple[str, float], ...]] = {
    L0: (("pointwise:restarts=1000", 1.0),),
    L1: (("geoda", 0.5), ("geoda:frequencies=1", 0.5)),
    L2: (("geoda", 0.5), ("surfree", 0.5)),
    Linf: (("adba", 0.5), ("rays", 0.2), ("adba", 0.3)),
}
"""Attacks in their order, each with its share of the queries."""


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
        own = [(spec, 1.0) for spec in (self.attacks or "").split("+") if spec]
        shares = own or PORTFOLIO[bout.ball.norm]
        total = sum(share for _, share in shares)
        most = self.queries or bout.queries_left or QUERIES
        for number, (spec, share) in enumerate(shares):
            queries = max(1, int(most * share / total))
            part = bout.child(number, passes=queries)
            if len(part):
                replace(attack(spec), queries=queries).run(part)  # type: ignore[type-var]
