"""Probe of memory: does the model answer by what it was asked before?

A counter, a cache of answers or a running statistic makes a model look at its examiner instead of the image. So what a
net keeps beside its weights is copied before the first question, and images are shown twice: to the model as it is
now, and to the model as it came. Any model can be put back so before each question (`Restored`).
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from sparring.audit.probes.asked import Asked
from sparring.batches import batches
from sparring.model import Model

ASKED = 32
"images that are shown to the model as it came"
FAR, FAR_IN_LOW_PRECISION = 1e-3, 5e-2
"in logits, relative to the largest: more than rounding explains"
TORCH = set(vars(nn.Module())) - {"training"}
"what torch keeps in a module: weights, buffers (a guard restores them), parts and hooks"


DATA = (bool, int, float, str, bytes, bytearray, list, dict, set, deque, Tensor, torch.Generator)
"kinds of values that a class or a module may keep a memory in"
LIBRARIES = ("torch.", "builtins", "sparring.", "collections", "typing")
"whose classes keep none"


class Memory:
    """What a model keeps beside its weights, as it was when this was made."""

    def __init__(self, model: Model) -> None:
        self._kept: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = []
        self._cells: list[tuple[Any, Any]] = []
        parts = list(_parts(model))
        self._shared = {id(part): part for part in parts}
        for part in parts:
            if isinstance(part, nn.Module):
                self._shared |= {id(one): one for one in (*part._parameters.values(), *part._buffers.values())}
        for part in parts:
            own = getattr(part, "__dict__", None)
            skipped = TORCH if isinstance(part, nn.Module) else set()
            if isinstance(own, dict):
                self._kept.append((own, self._copied(own, skipped), skipped))
            for cell in getattr(part, "__closure__", None) or ():
                self._cells += [(cell, value) for value in self._copied({"": cell.cell_contents}, set()).values()]
        self._outside = [(owner, name, self._copied({"": value}, set())[""]) for owner, name, value in _outside(parts)]

    def restore(self) -> None:
        """Put everything back."""
        for own, kept, skipped in self._kept:
            for name in [name for name in own if name not in kept and name not in skipped]:
                del own[name]
            own.update(self._copied(kept, set()))
        for cell, value in self._cells:
            cell.cell_contents = self._copied({"": value}, set())[""]
        for owner, name, value in self._outside:
            names = vars(owner) if isinstance(owner, type) else owner
            now = names.get(name)
            if not _same(now, value):
                _put_back(owner, name, now, self._copied({"": value}, set())[""])

    def _copied(self, values: dict[str, Any], skipped: set[str]) -> dict[str, Any]:
        found = {}
        for name, value in list(values.items()):
            if name in skipped:
                continue
            try:
                found[name] = copy.deepcopy(value, dict(self._shared))
            except Exception:
                found[name] = value
        return found


def _parts(model: Model) -> Iterator[Any]:
    """The objects whose attributes may remember: modules, callables, stages before the net."""
    seen: set[int] = set()
    queue: list[Any] = [model.net, *(stage.run for stage in getattr(model, "stages", ()))]
    if isinstance(inner := getattr(model, "inner", None), Model):
        queue += list(_parts(inner))
    while queue:
        part = queue.pop()
        if id(part) in seen or part is None:
            continue
        seen.add(id(part))
        if isinstance(part, nn.Module):
            queue += list(part.modules())
        if hasattr(part, "__dict__") and not isinstance(part, type):
            yield part
        if hasattr(part, "__self__"):  # a bound method
            queue.append(part.__self__)


def _outside(parts: Sequence[Any]) -> Iterator[tuple[Any, str, Any]]:
    """(owner, name, value) of data that the code of these objects keeps outside them: on their classes, and among the
    names of their modules that this code uses. The code of libraries keeps nothing."""
    classes = {one for part in parts for one in type(part).__mro__ if not one.__module__.startswith(LIBRARIES)}
    functions = [part for part in parts if isinstance(part, FunctionType)]
    for one in sorted(classes, key=lambda one: (one.__module__, one.__qualname__)):
        for name, value in list(vars(one).items()):
            inner = getattr(value, "__func__", value)
            if isinstance(inner, FunctionType):
                functions.append(inner)
            elif isinstance(value, DATA) and not name.startswith("__"):
                yield one, name, value
    seen: set[tuple[int, str]] = set()
    for function in functions:
        owner = function.__globals__
        for name in function.__code__.co_names:
            if isinstance(owner.get(name), DATA) and (id(owner), name) not in seen:
                seen.add((id(owner), name))
                yield owner, name, owner[name]


def _same(now: Any, kept: Any) -> bool:
    """Nothing has changed; values that cannot be compared have."""
    if type(now) is not type(kept):
        return False
    with suppress(Exception):
        return torch.equal(now, kept) if isinstance(now, Tensor) else bool(now == kept)
    return False


def _alike(now: Tensor, kept: Tensor) -> bool:
    return now.shape == kept.shape and now.dtype == kept.dtype


def _put_back(owner: Any, name: str, now: Any, kept: Any) -> None:
    """Give a name its old value, in place where others may hold the same list, table, set or tensor."""
    with suppress(Exception):  # some classes cannot be written to: then they kept nothing
        if isinstance(now, list) and isinstance(kept, list):
            now[:] = kept
        elif isinstance(now, dict | set) and isinstance(kept, dict | set):
            now.clear()
            now.update(kept)
        elif (
            isinstance(now, Tensor) and isinstance(kept, Tensor) and now.shape == kept.shape and now.dtype == kept.dtype
        ):
            with torch.no_grad():
                now.copy_(kept)
        elif isinstance(owner, type):
            setattr(owner, name, kept)
        else:
            owner[name] = kept


class Restored(Asked):
    """The same model, put back before each question to what it was when `memory` was made."""

    def __init__(self, inner: Model, memory: Memory) -> None:
        super().__init__(inner)
        self.memory = memory

    def around(self, other: Model) -> Restored:
        return Restored(other, self.memory)

    def raw(self, x: Tensor) -> Tensor:
        self.memory.restore()
        return self.inner.raw(x)


def remembers(model: Model, memory: Memory, x: Tensor, z: Tensor, batch_size: int) -> tuple[float, int]:
    """Share of images that the model answers otherwise than it did, or would have done, when it came.

    Args:
        x, z: [n, ...] clean images that it has been asked about, and points near them that it has not.

    Returns:
        The share, 0 for a model whose answers always change; and the forward passes that it took.
    """
    now = answers(model, z, batch_size), answers(model, x, batch_size)
    again = answers(model, x, batch_size)
    if bool(differ(model, now[1], again).any()) and bool(differ(model, again, answers(model, x, batch_size)).any()):
        return 0.0, 5 * len(x)
    present = Memory(model)  # what counts its questions goes on counting afterwards
    memory.restore()
    fresh_z = answers(model, z, batch_size)
    memory.restore()
    fresh = fresh_z, answers(model, x, batch_size)
    present.restore()
    apart = differ(model, now[0], fresh[0]) | differ(model, now[1], fresh[1])
    return (float(apart.double().mean()) if len(x) else 0.0), 5 * len(x)


def answers(model: Model, x: Tensor, batch_size: int) -> Tensor:
    """Logits [n, K] on the CPU, all asked under one guard."""
    ask: Callable[[Tensor], Tensor] = model.logits
    with model.guard(), torch.no_grad():
        parts = [ask(model.accept(part)).float().cpu() for part, _ in batches((x, torch.zeros(len(x))), batch_size)]
    return torch.cat(parts) if parts else torch.zeros(0, 1)


def differ(model: Model, one: Tensor, other: Tensor) -> Tensor:
    """[n] bool: these logits are apart by more than rounding explains; NaN is like NaN."""
    low = model.dtype in (torch.float16, torch.bfloat16)
    one, other = (each.nan_to_num(nan=-1e30, posinf=1e30, neginf=-1e30) for each in (one, other))
    bar = FAR_IN_LOW_PRECISION if low else FAR
    return (one - other).abs().amax(1) > bar * one.abs().amax(1).clamp(min=1e-6)
