"""Does it find what is there, and is what it reports true?"""

from __future__ import annotations

import torch

from sparring.errors import InputError
from sparring.result import Result
from sparring.testing.case import Examinee, check, demand, searches_within_norm, size
from sparring.testing.fixtures import Paper, affine, curved, pair
from sparring.threat import Goal, Targeted

SLACK = 1 + 1e-5  # float rounding of eps, the same that the referee forgives


@check("known-optimum", applies=lambda info: searches_within_norm(info) and "untargeted" in info.specificity)
def known_optimum(case: Examinee) -> None:
    """On an affine model it succeeds just above the closed-form optimum inside the box (or finds it)."""
    paper = pair()
    _reaches(case, paper, None)


@check("known-optimum-targeted", applies=lambda info: searches_within_norm(info) and "targeted" in info.specificity)
def known_optimum_targeted(case: Examinee) -> None:
    """The same towards a class, among four."""
    paper = pair(classes=4)
    _reaches(case, paper, Targeted(1 - paper.y, paper.y))


def _reaches(case: Examinee, paper: Paper, goal: Goal | None) -> None:
    best = paper.distance(case.norm, 1 - paper.y)
    for at in best.sort().values[[0, 2, 4]]:
        eps = float(at) * case.factor
        missed = ~case(paper, goal, eps=eps).success & (best * case.factor <= eps * SLACK)
        demand(
            not bool(missed.any()),
            f"at eps {eps:.4g} samples {missed.nonzero().flatten().tolist()} still stand, but the optimum is "
            f"{[round(b, 4) for b in best[missed].tolist()]} ({case.factor:g} times that was granted)",
        )
    if case.info.aim != "budget":
        found = case.attack(paper.net, paper.x, goal or paper.y, (case.norm, None)).distance
        far = ~(found <= best * case.factor * SLACK)
        demand(
            not bool(far.any()),
            f"samples {far.nonzero().flatten().tolist()}: distance {found[far].tolist()}, but the optimum is "
            f"{best[far].tolist()} ({case.factor:g} times that was granted)",
        )


@check("below-optimum")
def below_optimum(case: Examinee) -> None:
    """Below the closed-form optimum nothing succeeds, and no distance is smaller than it."""
    paper = affine()
    best = paper.optimum(case.norm)
    goal = case.aim(paper)
    results = [] if case.eps(paper) is None else [case(paper, goal, eps=float(best.min()) * 0.999)]
    for result in results:
        demand(
            not bool(result.success.any()), f"success at eps {result.threat.eps:.4g}, the optimum is {best.min():.4g}"
        )
    result = case(paper, goal)
    short = result.distance < best * (1 - 1e-5)
    demand(
        not bool(short.any()), f"distances {result.distance[short].tolist()} below the optimum {best[short].tolist()}"
    )


@check("fresh-evaluation")
def fresh_evaluation(case: Examinee) -> None:
    """Success, distance, margin and clean_correct are what a fresh look at x_adv says, clean errors included."""
    for paper in (affine(), curved()):
        labels = paper.y.clone()
        labels[1] = (labels[1] + 1) % 4  # one that the model gets wrong
        wrong = Paper(paper.net, paper.x, labels)
        _agrees(case, wrong, case(wrong, case.aim(wrong)), case.aim(wrong))


def _agrees(case: Examinee, paper: Paper, result: Result, aim: object) -> None:
    said = paper.classes(result.x_adv)
    fooled = said == aim.label if isinstance(aim, Targeted) else said != paper.y
    demand(
        torch.equal(result.success, fooled),
        f"success is {result.success.tolist()}, but a fresh look at x_adv says {fooled.tolist()}",
    )
    moved = size(case.norm, result.x_adv - paper.x)
    distance = torch.where(fooled, moved, torch.inf)
    demand(
        torch.allclose(result.distance.double(), distance, rtol=1e-5, atol=1e-7),
        f"distance is {result.distance.tolist()}, but x_adv is {distance.tolist()} away (inf = not fooled)",
    )
    right = paper.classes(paper.x) == paper.y
    demand(torch.equal(result.clean_correct, right), f"clean_correct is {result.clean_correct.tolist()}")
    if case.info.sees != "decision":
        demand(
            torch.equal(result.margin > 0, fooled),
            f"margin is {result.margin.tolist()}, but it must be > 0 exactly where success is {fooled.tolist()}",
        )


@check("inside-threat")
def inside_threat(case: Examinee) -> None:
    """Every x_adv, fooled or not, is finite, inside the box and inside eps, in float64 and in float32."""
    for paper in (curved(), curved().single()):
        before = paper.x.clone()
        result = case(paper)
        x_adv = result.x_adv
        demand(x_adv.shape == paper.x.shape, f"x_adv has shape {tuple(x_adv.shape)}, the images {tuple(before.shape)}")
        demand(bool(x_adv.isfinite().all()), "x_adv holds NaN or Inf")
        demand(
            bool((x_adv >= 0).all() and (x_adv <= 1).all()), f"x_adv goes from {x_adv.min():.6g} to {x_adv.max():.6g}"
        )
        demand(torch.equal(paper.x, before), "the clean images were changed in place")
        if result.threat.eps is not None:
            worst = float(size(case.norm, x_adv - before).max())
            demand(
                worst <= result.threat.eps * SLACK + 1e-6,
                f"an x_adv is {worst:.6g} away in {case.norm}, eps is {result.threat.eps:.6g}",
            )


@check("targeted", applies=lambda info: "targeted" in info.specificity)
def targeted(case: Examinee) -> None:
    """With a target, success means that class and no other; a target that is the true class is refused."""
    paper = affine()
    wanted = (paper.y + 2) % 5
    eps = None if case.eps(paper) is None else float(paper.distance(case.norm, wanted).median()) * 1.5
    result = case(paper, Targeted(wanted, paper.y), eps=eps)
    said = paper.classes(result.x_adv) == wanted
    demand(
        torch.equal(result.success, said),
        f"success is {result.success.tolist()}, but x_adv is given the target class: {said.tolist()}",
    )
    try:
        case(paper, Targeted(paper.y, paper.y))
    except InputError:
        return
    raise AssertionError("a target that is the true class was accepted")


@check("monotone-in-eps", applies=lambda info: info.aim in ("budget", "both") and info.learns is None)
def monotone(case: Examinee) -> None:
    """On an affine model a larger eps fools no fewer samples, and a large one fools all."""
    paper = pair()
    goal = case.aim(paper)
    best = paper.optimum(case.norm)
    radii = [float(best.min()) * 0.9, float(best.median()) * 1.1, float(best.max()) * 1.2 * case.factor]
    fallen = [int(case(paper, goal, eps=eps).success.sum()) for eps in radii]
    demand(fallen == sorted(fallen), f"fooled {fallen} samples at growing eps {[round(r, 4) for r in radii]}")
    demand(
        fallen[-1] == len(paper),
        f"only {fallen[-1]} of {len(paper)} fall at eps {radii[-1]:.4g}, the optimum is {best.tolist()}",
    )
