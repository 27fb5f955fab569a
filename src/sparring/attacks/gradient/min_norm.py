"""The smallest perturbation that several attacks together can find, image by image, under one budget.

Complementary attacks in one bout, one after the other, each from the nearest point that those before it found; the
referee keeps the nearest of all. Which attacks: the best of AttackBench (Cina et al. 2025, arXiv:2404.19460) that fail
on different images. No single one wins everywhere: on nets that mask their gradients each has images it cannot do.

Differs from the paper's best-of ensemble: there each attack starts anew, and all of them run in full.
Fails on: budgets below some hundred passes, where one attack alone would use them better.
"""

from __future__ import annotations

from dataclasses import replace

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.attacks import attack
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf, Norm

PASSES = 2000
"AttackBench's budget"
SEARCH = "apgd-t-min"
PORTFOLIO: dict[Norm, tuple[tuple[str, float], ...]] = {
    L0: (("sigma-zero", 0.4), ("sigma-zero:lr=3", 0.3), ("sigma-zero:lr=5", 0.3)),
    L1: (("alma", 0.2), (f"{SEARCH}:steps=25,targets=3", 0.5), ("pdpgd", 0.3)),
    L2: (("alma", 0.4), ("pdgd", 0.3), (f"{SEARCH}:steps=50,targets=3,fresh=1", 0.3)),
    Linf: ((f"{SEARCH}:steps=50,targets=0,fresh=1", 0.45), ("fmn", 0.2), (f"{SEARCH}:steps=50,targets=3", 0.35)),
}
"""Attacks in their order, each with its share of the passes. Runs from random starts on cross-entropy (`fresh`) come
first where gradients near the image mislead: what a walk from the image finds there is no start for others."""


@register(
    "min-norm",
    title="Best of minimum norm",
    sees="gradient",
    norms=(L2, Linf, L1, L0),
    aim="minimum",
    year=2026,
    paper="arXiv:2404.19460",
    aliases=("minimum-norm",),
    random=True,
)
class MinimumNorm(Attack):
    """Several minimum-norm attacks in turn, each from the best point so far.

    Args:
        passes: forward and backward passes for each image, all attacks together; None = what the budget of the call
            allows, 2,000 without one.
        attacks: specs joined by "+", sharing the passes evenly; None = those that fit the norm best.
    """

    passes: PositiveInt | None = None
    attacks: str | None = None

    def run(self, bout: Bout) -> None:
        own = [(spec, 1.0) for spec in (self.attacks or "").split("+") if spec]
        shares = own or PORTFOLIO[bout.ball.norm]
        total = sum(share for _, share in shares)
        most = self.passes or bout.passes_left or PASSES
        for number, (spec, share) in enumerate(shares):
            passes = max(2, int(most * share / total))
            part = bout.child(number, passes=passes)
            if len(part):
                answer = _paced(attack(spec), passes).run(part)
                if answer is not None:
                    part.submit(answer)


def _paced(made: Attack, passes: int) -> Attack:
    """The attack with its steps spread over so many passes, where it takes two a step and one run."""
    fields = made.settings()
    plain = "steps" in fields and not {"targets", "search", "restarts", "rounds"} & fields.keys()
    return replace(made, steps=passes // 2) if plain else made  # type: ignore[type-var]
