"""Are the books right: every pass counted, no budget overdrawn, the trace and the kept points consistent?"""

from __future__ import annotations

from typing import get_args

import torch
from torch import Tensor

from sparring.budget import Budget
from sparring.referee import Keep
from sparring.testing.case import Examinee, check, demand, size
from sparring.testing.fixtures import affine, curved, pair
from sparring.testing.truth import SLACK
from sparring.testing.watch import counted
from sparring.threat import Goal, Targeted


@check("counts")
def counts(case: Examinee) -> None:
    """Queries and gradients are the rows that went forwards and backwards through the net, seen by hooks."""
    paper = curved()
    eps = case.eps(paper)
    for part in (paper, paper[:1], paper[3:4]):
        with counted(part.net) as tally:
            result = case(part, eps=eps)
        queries, gradients = int(result.queries.sum()), int(result.gradients.sum())
        demand(
            queries == tally.forward, f"{queries} queries reported, {tally.forward} rows went forwards through the net"
        )
        demand(gradients == tally.backward, f"{gradients} gradients reported, {tally.backward} rows went backwards")


BUDGETS = (
    *(Budget(queries=limit) for limit in (1, 2, 3, 7)),
    *(Budget(gradients=limit) for limit in (0, 1, 3)),
    *(Budget(passes=limit) for limit in (1, 2, 4, 9)),
    Budget(seconds=0),
)


@check("budget", every_norm=False)
def budget(case: Examinee) -> None:
    """A budget of queries, gradients, passes or time is hard: not one pass more, seen by hooks."""
    paper = affine()
    eps = float(paper.optimum(case.norm).min()) * 0.9  # nobody falls, so everybody wants to go on
    free = case(paper, eps=eps)
    for limit in BUDGETS:
        with counted(paper.net) as tally:
            result = case(paper, eps=eps, budget=limit)
        spent = {
            "queries": (result.queries, limit.queries, tally.forward),
            "gradients": (result.gradients, limit.gradients, tally.backward),
            "passes": (result.queries + result.gradients, limit.passes, tally.forward + tally.backward),
        }
        for what, (each, most, seen) in spent.items():
            demand(int(each.sum()) == seen, f"{limit}: {int(each.sum())} {what} reported, {seen} seen by hooks")
            over = most is not None and bool((each > most).any())
            demand(not over, f"{limit}: {each.tolist()} {what} for each sample")
        if bool((result.queries + result.gradients < free.queries + free.gradients).any()):
            codes = [doubt.code for doubt in result.doubts]
            demand("budget-spent" in codes, f"{limit} cut the search short, but the doubts are {codes}")


@check("already-wrong")
def already_wrong(case: Examinee) -> None:
    """What the model gets wrong anyway costs one query, no gradient, and has distance 0."""
    paper = affine()
    goals: dict[str, Tensor | Goal] = {"untargeted": (paper.y + 1) % 5, "targeted": Targeted(paper.y)}
    eps = case.eps(paper)
    for goal in (goals[kind] for kind in case.info.specificity):
        with counted(paper.net) as tally:
            result = case(paper, goal, eps=eps)
        demand(
            bool(result.success.all()), f"success is {result.success.tolist()}, but the model errs on the clean images"
        )
        demand(bool((result.distance == 0).all()), f"distance is {result.distance.tolist()}, 0 is right")
        demand(torch.equal(result.x_adv, paper.x), "x_adv is not the clean image")
        demand(not bool(result.clean_correct.any()), "clean_correct is True for a clean error")
        demand(bool((result.queries == 1).all()), f"queries are {result.queries.tolist()}, 1 each is enough")
        demand(bool((result.gradients == 0).all()), f"gradients are {result.gradients.tolist()}, none is needed")
        demand((tally.forward, tally.backward) == (len(paper), 0), f"the net saw {tally.forward} rows")


@check("keep", every_norm=False)
def keep(case: Examinee) -> None:
    """`keep="last"` and `keep="margin"` report true successes too, and margins no smaller than `keep="best"` does."""
    paper = curved()
    eps = case.eps(paper)
    for how in get_args(Keep):
        result = case(paper, eps=eps, keep=how)
        aim = case.aim(paper)
        said = paper.classes(result.x_adv)
        fooled = said == aim.label if isinstance(aim, Targeted) else said != paper.y
        demand(
            torch.equal(result.success, fooled),
            f"keep={how!r}: success is {result.success.tolist()}, a fresh look says {fooled.tolist()}",
        )
        moved = torch.where(fooled, size(case.norm, result.x_adv - paper.x), torch.inf)
        demand(
            torch.allclose(result.distance.double(), moved, rtol=1e-5, atol=1e-7),
            f"keep={how!r}: distance is {result.distance.tolist()}, x_adv is {moved.tolist()} away",
        )
        if how == "margin" and case.info.sees != "decision" and case.info.aim in ("budget", "both"):
            best = case(paper, eps=eps)
            worse = best.success & ~(result.margin >= best.margin - 1e-9)
            demand(
                not bool(worse.any()),
                f"keep='margin' has margins {result.margin[worse].tolist()}, 'best' {best.margin[worse].tolist()}",
            )


@check("trace", every_norm=False)
def trace(case: Examinee) -> None:
    """The trace holds the reported point, nothing nearer that was fooled, and the moment of the first hit."""
    paper = pair()
    result = case(paper, trace=True)
    seen = result.trace
    assert seen is not None
    looks, n = seen.margin.shape
    demand(seen.distance.shape == seen.query.shape == (looks, n) == (looks, len(paper)), "the trace is not [T, N]")
    demand(bool((seen.query.diff(dim=0) >= 0).all()), "the queries of the trace do not grow")
    demand(bool((seen.query[-1] <= result.queries).all()), "the trace counts more queries than the result")
    for i in range(n):
        distance, margin = seen.distance[:, i], seen.margin[:, i]
        if case.info.sees == "decision" or not result.success[i]:
            continue
        hits = (margin > 0) & (distance <= (result.threat.eps or torch.inf) * SLACK)
        demand(bool(hits.any()), f"sample {i} is a success, but no look of the trace is")
        nearest, reported = float(distance[hits].min()), float(result.distance[i])
        demand(
            abs(nearest - reported) <= 1e-4 * max(1.0, reported),
            f"sample {i}: distance {reported:.6g} reported, the nearest hit of the trace is {nearest:.6g} away",
        )
        first = int(seen.query[hits.nonzero()[0, 0], i])
        demand(
            first == int(result.first_hit[i]), f"sample {i}: first_hit {int(result.first_hit[i])}, by the trace {first}"
        )
