"""The smallest perturbation that several attacks together can find, image by image, under one budget.

Complementary attacks in one bout, one after the other, each from the nearest point that those before it found, or
afresh where that would be a trap; the referee keeps the nearest of all. Which attacks: the best of AttackBench (Cina et
al. 2025, arXiv:2404.19460) that fail on different images, and under L1 and L0 a walk along the boundary from far away.
No single one wins everywhere: on nets that mask their gradients each has images it cannot do. Small budgets go to the
first of them alone.

Differs from the paper's best-of ensemble: there each attack starts anew, and all of them run in full.
Fails on: budgets below some hundred passes on nets that mask their gradients, under Linf and L2.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from pydantic import PositiveInt

from sparring.attack import Attack, register
from sparring.attacks import attack
from sparring.blocks.shares import Part, shared
from sparring.bout import Bout
from sparring.norms import L0, L1, L2, Linf, Norm

PASSES = 2000
"AttackBench's budget"
LEAST: dict[Norm, int] = {L0: 100, L1: 100, L2: 30, Linf: 2}
"""Passes that a part must have: else it is left out, the last first, and those before it have more."""
FEW = 20
"passes below which FMN has them all, under any norm"


SEARCH = "apgd-t-min"
PORTFOLIO: dict[Norm, tuple[Part, ...]] = {
    L0: (
        Part("brendel-bethge", 0.4),
        Part("sigma-zero", 0.2, afresh=True),
        Part("sigma-zero:lr=3", 0.2),
        Part("sigma-zero:lr=5", 0.2),
    ),
    L1: (
        Part("brendel-bethge", 0.15),
        Part("fmn", 0.15, afresh=True),
        Part("alma", 0.15, afresh=True),
        Part("pdpgd", 0.3, afresh=True),
        Part(f"{SEARCH}:steps=25,targets=3", 0.25),
    ),
    L2: (
        Part("fmn", 0.1),
        Part("alma", 0.35, afresh=True),
        Part("pdgd", 0.25),
        Part(f"{SEARCH}:steps=50,targets=3,fresh=1", 0.3),
    ),
    Linf: (
        Part(f"{SEARCH}:steps=50,targets=0,fresh=1", 0.45),
        Part("fmn", 0.2),
        Part(f"{SEARCH}:steps=50,targets=3", 0.35),
    ),
}
"""Attacks in their order. FMN is the best for few passes, but what it finds where gradients mislead is a trap for
others. Under Linf runs from random starts on cross-entropy (`fresh`) come first for that reason, and are good at any
budget."""


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
        own = [Part(spec, 1.0) for spec in (self.attacks or "").split("+") if spec]
        parts, least = (own, 2) if own else (PORTFOLIO[bout.ball.norm], LEAST[bout.ball.norm])
        most = self.passes or bout.passes_left or PASSES
        parts = [Part("fmn", 1.0)] if most < FEW and not own else parts
        for number, (part, passes) in enumerate(shared(parts, most, least)):
            b = bout.child(number, passes=passes)
            if not len(b):
                continue
            with b.afresh() if part.afresh else nullcontext():
                answer = _paced(attack(part.spec), passes).run(b)
                if answer is not None:
                    b.submit(answer)


def _paced(made: Attack, passes: int) -> Attack:
    """The attack with its steps spread over so many passes, where it takes two a step and one run."""
    fields = made.settings()
    plain = "steps" in fields and not {"targets", "search", "restarts", "rounds"} & fields.keys()
    return replace(made, steps=passes // 2) if plain else made  # type: ignore[type-var]
