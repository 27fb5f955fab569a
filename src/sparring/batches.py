"""One attack over more images than fit into one call: batch by batch, with progress, joined into one result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor

from sparring.attack import Attack
from sparring.budget import Budget
from sparring.class_numbers import integers
from sparring.errors import InputError
from sparring.model import Model
from sparring.referee import Keep
from sparring.result import Result, concat
from sparring.threat import Goal, Targeted, Threat, Untargeted

Data = tuple[Tensor, Tensor] | Iterable[tuple[Tensor, Tensor]]


def run_batches(
    attack: Attack,
    model: Model,
    data: Data,
    threat: Threat,
    *,
    goal: Callable[[Tensor, Tensor], Goal] | None = None,
    batch_size: int = 256,
    seed: int = 0,
    budget: Budget | None = None,
    keep: Keep = "best",
    trace: bool = False,
    progress: Callable[[int, Result], Any] | None = None,
) -> Result:
    """Attack all of `data`; the result is the same whatever `batch_size` is.

    Args:
        data: (x [N, ...], y [N]), or an iterable of such batches (a DataLoader), taken as they come.
        goal: (x, y) of a batch -> its goal; None = untargeted.
        budget: per sample; `seconds` is for the whole of the data.
        trace: record what was seen on the way: in the results that `progress` gets, not in the joined one.
        progress: called with the number of images done and the batch's result, after each batch.
    """
    results: list[Result] = []
    done = 0
    left = None if budget is None else budget.seconds
    for x, y in batches(data, batch_size):
        limit = budget
        if budget is not None and left is not None:
            limit = Budget(budget.queries, budget.gradients, budget.passes, max(0.0, left))
        aim = Untargeted(y) if goal is None else goal(x, y)
        here = threat.rows(slice(done, done + len(x)))
        results.append(attack(model, x, aim, here, seed=seed, budget=limit, keep=keep, trace=trace))
        if left is not None:
            left -= results[-1].seconds
        done += len(x)
        if progress is not None:
            progress(done, results[-1])
    if not results:
        raise InputError("there are no images to attack")
    return concat(results)


def batches(data: Data, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """(x, y) batches of at most `batch_size` from tensors, or whatever a loader gives, labels as tensors."""
    if isinstance(data, tuple) and isinstance(data[0], Tensor):
        x, y = data
        y = integers(y)
        if len(x) != len(y):
            raise InputError(f"there are {len(x)} images but {len(y)} labels; give one label for each image")
        for start in range(0, len(x), batch_size):
            yield x[start : start + batch_size], y[start : start + batch_size]
    else:
        for x, y in data:
            yield x, integers(y)


def target_policy(name: str, model: Model) -> Callable[[Tensor, Tensor], Goal]:
    """How targets are chosen: a class number, "least-likely", "second-best" or "next" ((y + 1) mod K).

    The policy looks at the clean images once more to rank the classes; these passes are not the attack's.
    """
    text = name.lower().replace("_", "-")
    if not (text.isdecimal() or text in ("least-likely", "second-best", "next")):
        raise InputError(f"target {name!r} is not known; give a class number, least-likely, second-best or next")

    def choose(x: Tensor, y: Tensor) -> Goal:
        with model.guard(), torch.no_grad():
            logits = model.logits(model.accept(x)).cpu()
        truth = y.cpu().long()
        if text.isdecimal():
            return Targeted(torch.full_like(truth, int(text)), truth)
        if text == "next":
            return Targeted((truth + 1) % logits.shape[1], truth)
        sign = -1.0 if text == "least-likely" else 1.0
        return Targeted((sign * logits).scatter(1, truth[:, None], float("-inf")).argmax(1), truth)

    return choose
