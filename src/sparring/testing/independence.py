"""Does the result of a sample depend on the sample alone, and on nothing outside the call?"""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace

import torch

from sparring.result import Result, concat
from sparring.testing.case import Examinee, check, demand, pick, same
from sparring.testing.fixtures import Paper, affine, curved, generator


@check("batch-of-one")
def batch_of_one(case: Examinee) -> None:
    """Five samples at once, in another order and one by one give the same results and counts."""
    paper = curved()
    eps = case.eps(paper)
    together = case(paper, eps=eps)
    order = torch.randperm(len(paper), generator=generator(0))
    same(pick(together, order), case(paper[order], eps=eps), "in another order")
    single = [case(paper[i : i + 1], eps=eps) for i in range(len(paper))]
    same(together, concat(single), "one by one")


@check("odd-batches", every_norm=False)
def odd_batches(case: Examinee) -> None:
    """A smaller last batch, a batch of one and an empty batch work, whatever the attack has done before."""
    paper = curved(count=7)
    eps = case.eps(paper)
    whole = case(paper, eps=eps)
    parts = [case(paper[start : start + 3], eps=eps) for start in (0, 3, 6)]
    same(whole, concat(parts), "in batches of 3, 3 and 1")
    nothing = case(paper[:0], eps=eps, trace=True)
    demand(len(nothing) == 0 and nothing.x_adv.shape == paper.x[:0].shape, "an empty batch gave something")


@check("same-seed", every_norm=False)
def same_seed(case: Examinee) -> None:
    """The same seed gives the same result to the bit; another seed matters if and only if the attack is random."""
    paper = curved()
    eps = case.eps(paper)
    first, again, other = (case(paper, eps=eps, seed=seed, trace=True) for seed in (0, 0, 1))
    demand(_path_equal(first, again), "the same seed gave another result")
    if case.info.random:
        demand(not _path_equal(first, other), "another seed changed nothing, but the attack is registered as random")
    else:
        demand(_path_equal(first, other), "another seed changed the result, but the attack is not registered as random")


def _path_equal(a: Result, b: Result) -> bool:
    assert a.trace is not None
    assert b.trace is not None
    pairs = [(getattr(a, name), getattr(b, name)) for name in ("x_adv", "success", "distance", "queries")]
    pairs += [(getattr(a.trace, name), getattr(b.trace, name)) for name in ("margin", "distance")]
    return all(
        left.shape == right.shape and torch.equal(left.nan_to_num(9.0), right.nan_to_num(9.0)) for left, right in pairs
    )


@check("global-rng", every_norm=False)
def global_rng(case: Examinee) -> None:
    """The global random state is neither used nor changed."""
    paper = curved()
    with torch.random.fork_rng(devices=[]):
        results = []
        for seed in (1, 2):
            torch.random.manual_seed(seed)
            before = torch.random.get_rng_state()
            results.append(case(paper, trace=True))
            demand(torch.equal(before, torch.random.get_rng_state()), "the global random state was changed")
    demand(_path_equal(*results), "the result depends on the global random state")


@check("frozen", every_norm=False)
def frozen(case: Examinee) -> None:
    """The attack is a frozen value: a run leaves no trace in it, and its fields can't be set."""
    before = dict(vars(case.attack))
    case(curved())
    demand(vars(case.attack) == before, f"a run changed the attack: {before} became {dict(vars(case.attack))}")
    for name in before:
        try:
            setattr(case.attack, name, before[name])
        except FrozenInstanceError:
            continue
        raise AssertionError(f"the field {name!r} can be set; attacks are frozen")


@check("neighbours-already-wrong", every_norm=False)
def neighbours_already_wrong(case: Examinee) -> None:
    """A neighbour that the model gets wrong anyway, and leaves at once, changes nothing for the others."""
    paper = affine()
    labels = paper.y.clone()
    labels[2] = (labels[2] + 1) % 5
    others = torch.tensor([0, 1, 3, 4])
    eps = case.eps(paper)
    with_it = case(Paper(paper.net, paper.x, labels), case.aim(replace(paper, y=labels)), eps=eps)
    same(case(paper[others], eps=eps), pick(with_it, others), "beside a sample that is wrong anyway")
