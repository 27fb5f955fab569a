"""Is the model left as it was, and seen only as far as the attack is allowed to?"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from sparring.errors import AccessError
from sparring.model import LEVELS, wrap
from sparring.testing.case import Examinee, check, demand, same
from sparring.testing.fixtures import Changed, curved, living
from sparring.testing.watch import counted, differences, state


@check("model-untouched", every_norm=False)
def model_untouched(case: Examinee) -> None:
    """Modes, batch-norm statistics, requires_grad, gradients, hooks and RNG are exactly as before."""
    paper = living()
    eps = case.eps(paper)
    weights = list(paper.net.parameters())
    weights[-1].grad = torch.ones_like(weights[-1])  # somebody is in the middle of a training step
    before, x, y = state(paper.net), paper.x.clone(), paper.y.clone()
    outside = [case(paper, eps=eps)]
    with torch.no_grad():
        outside.append(case(paper, eps=eps))
    changed = differences(before, state(paper.net))
    demand(not changed, f"changed: {', '.join(changed)}")
    demand(torch.equal(x, paper.x) and torch.equal(y, paper.y), "the images or labels were changed in place")
    same(outside[0], outside[1], "inside torch.no_grad()")


class _Broken(RuntimeError):
    """What the net of the next check raises."""


@check("model-untouched-after-error", every_norm=False)
def model_untouched_after_error(case: Examinee) -> None:
    """The same when the model raises in the middle of a run; the error reaches the caller."""
    paper = living()
    eps = case.eps(paper)
    asked: list[int] = []

    def fail(x: Tensor) -> Tensor:
        asked.append(len(x))
        if len(asked) >= 2:
            raise _Broken
        return x

    net = Changed(paper.net, before=fail)
    before = state(net)
    try:
        case(replace(paper, net=net), eps=eps)
    except _Broken:
        pass
    else:
        demand(len(asked) < 2, "the model raised an error, and the attack swallowed it")
    changed = differences(before, state(net))
    demand(not changed, f"changed: {', '.join(changed)}")


@check("access", every_norm=False)
def access(case: Examinee) -> None:
    """It works with the access that it declares, is refused with less, and never looks at more."""
    paper = curved()
    eps, sees = case.eps(paper), case.info.sees
    for level in LEVELS[: LEVELS.index(sees)]:
        try:
            case(paper, eps=eps, model=wrap(paper.net, access=level))
        except AccessError:
            continue
        raise AssertionError(f"it is registered as seeing {sees}, but ran with {level} access")
    free = case(paper, eps=eps)
    net = Changed(paper.net, after=lambda z, x: z.argmax(1)) if sees == "decision" else paper.net
    with counted(net) as tally:
        narrow = case(paper, eps=eps, model=wrap(net, access=sees))
    same(free, narrow, f"with no more than {sees} access")
    if sees != "gradient":
        demand(tally.backward == 0, f"{tally.backward} rows went backwards, but it only sees {sees}")
        demand(tally.steered == 0, f"{tally.steered} rows could have been differentiated, but it only sees {sees}")
