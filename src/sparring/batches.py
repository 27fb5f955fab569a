"""One attack over more images than fit into one call: batch by batch, with progress, joined into one result."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import torch
from torch import Tensor

from sparring.attack import Attack
from sparring.budget import Budget
from sparring.class_numbers import integers
from sparring.errors import InputError, OutOfMemory, SmallerBatches
from sparring.model import Model
from sparring.referee import Keep
from sparring.result import Result, concat
from sparring.threat import Goal, Targeted, Threat, Untargeted

T = TypeVar("T")
SHORT = re.compile(r"out of memory|can't allocate memory|not enough memory", re.IGNORECASE)
"what torch says where memory runs out, on any device"

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

    Where memory runs out, a batch is attacked again in halves, with a `SmallerBatches` warning.

    Args:
        data: (x [N, ...], y [N]), or an iterable of such batches (a DataLoader), taken as they come.
        goal: (x, y) of a batch -> its goal; None = untargeted.
        budget: per sample; `seconds` is for the whole of the data.
        trace: record what was seen on the way: in the results that `progress` gets, not in the joined one.
        progress: called with the number of images done and the batch's result, after each batch.

    Raises:
        OutOfMemory: there is not enough for a single image.
    """
    results: list[Result] = []
    done = 0
    left = None if budget is None else budget.seconds
    waiting = batches(data, batch_size)
    halves: list[tuple[Tensor, Tensor]] = []
    while (part := halves.pop() if halves else next(waiting, None)) is not None:
        x, y = part
        size = len(x) if model.fits is None else min(len(x), model.fits)
        if size < len(x):
            halves += [(x[size:], y[size:]), (x[:size], y[:size])]
            continue
        limit = budget
        if budget is not None and left is not None:
            limit = Budget(budget.queries, budget.gradients, budget.passes, max(0.0, left))
        aim = Untargeted(y) if goal is None else goal(x, y)
        here = threat.rows(slice(done, done + len(x)))
        said: str | None = None
        try:
            results.append(attack(model, x, aim, here, seed=seed, budget=limit, keep=keep, trace=trace))
        except Exception as error:  # whatever the model's library raises
            if not out_of_memory(error):
                raise
            said = str(error)
        if said is not None:  # outside of the handler, which holds on to the tensors of the batch
            shrink(model, len(x), said)
            halves.append((x, y))
            continue
        if left is not None:
            left -= results[-1].seconds
        done += len(x)
        if progress is not None:
            progress(done, results[-1])
    if not results:
        raise InputError("there are no images to attack")
    return concat(results)


def while_it_fits(model: Model, size: int, work: Callable[[int], T], besides: str = "") -> T:
    """work(batch size), and again with half of it where memory runs out. `besides`: for the error, if it needs more.

    Raises:
        OutOfMemory: there is not enough for a single image.
    """
    size = size if model.fits is None else min(size, model.fits)
    while True:
        try:
            return work(size)
        except Exception as error:  # whatever the model's library raises
            if not out_of_memory(error):
                raise
            said = str(error)
        size = shrink(model, size, said, besides)


def out_of_memory(error: BaseException) -> bool:
    """The error says that there was not enough memory, on whatever device."""
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(SHORT.search(str(error))))


def shrink(model: Model, size: int, said: str, besides: str = "") -> int:
    """Half of a batch size that there was not enough memory for; remembered, and said in a warning.

    Raises:
        OutOfMemory: it was 1.
    """
    reason = " ".join(said.split())[:200]
    if size <= 1:
        raise OutOfMemory(f"not enough memory for {model.name}, even for a single image at a time{besides}: {reason}")
    model.fits = (size + 1) // 2
    warnings.warn(
        f"not enough memory for a batch of {size} images; going on with {model.fits}, which does not change the result",
        SmallerBatches,
        stacklevel=3,
    )
    return model.fits


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
