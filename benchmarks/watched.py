"""A net under watch: counts the passes of each sample, and keeps the smallest successful perturbation it was shown.

This is how AttackBench measures (arXiv:2404.19460): d* is the nearest point *seen during the run*, whatever the attack
returns. An attack shuffles, shrinks and repeats its batch as it likes, so that a row is given to the sample whose clean
image is nearest (rows of a full batch stay in order). A row that is given to the wrong sample can only do that sample
good: it counts as its success only if it fools the net about that sample's label.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from common import load_images

CHUNK = 50  # images in a batch, whoever attacks: results that depend on the batch are then the same for all --n
Attack = Callable[[nn.Module, Tensor, Tensor], Tensor | None]


class Spent(Exception):
    """All samples have used up their passes."""


class Watched(nn.Module):
    """`net` over pixels in [0, 1] while an attack on `x` [n, ...] with labels `y` [n] runs.

    Args:
        budget: forward plus backward passes of a sample after which what it is shown does not count any more.
        targets: [n]; given: fooled means this class.
    """

    def __init__(
        self, net: nn.Module, x: Tensor, y: Tensor, norm: str, budget: int | None = None, targets: Tensor | None = None
    ) -> None:
        super().__init__()
        self.net, self.norm, self.budget = net, norm, budget
        self.register_buffer("x", x.flatten(1).clone())
        self.register_buffer("y", y.clone())
        self.targets = targets
        n = len(x)
        self.seen = torch.full((n,), torch.inf, dtype=torch.float64)
        self.forwards = torch.zeros(n, dtype=torch.int64)
        self.backwards = torch.zeros(n, dtype=torch.int64)
        self.square = self.x.square().sum(1)

    def forward(self, z: Tensor) -> Tensor:
        rows = self._whose(z.detach().flatten(1))
        if not bool(self._left().any()):
            raise Spent
        logits: Tensor = self.net(z)
        paid = self._pay(rows, self.forwards)
        self._judge(z.detach().flatten(1), logits.detach(), rows, paid)
        if logits.requires_grad:
            logits.register_hook(lambda _: self._came_back(rows))
        return logits

    def _came_back(self, rows: Tensor) -> None:
        self._pay(rows, self.backwards)

    def _pay(self, rows: Tensor, counts: Tensor) -> Tensor:
        """Count a pass of each row whose sample has some left; returns who that is."""
        left = self._left()[rows]
        counts += torch.bincount(rows[left], minlength=len(self.y))
        return left

    def _left(self) -> Tensor:
        spent = self.forwards + self.backwards
        return torch.ones_like(spent, dtype=torch.bool) if self.budget is None else spent < self.budget

    def _whose(self, z: Tensor) -> Tensor:
        if len(z) == len(self.y):
            return torch.arange(len(z))
        return (self.square[None] - 2 * z @ self.x.T).argmin(1)

    def _judge(self, z: Tensor, logits: Tensor, rows: Tensor, paid: Tensor) -> None:
        label = logits.argmax(1)
        fooled = label != self.y[rows] if self.targets is None else label == self.targets[rows]
        fooled &= paid & (z.amin(1) >= -1e-6) & (z.amax(1) <= 1 + 1e-6)
        at = fooled.nonzero().squeeze(1)
        if len(at):
            d = size(z[at] - self.x[rows[at]], self.norm)
            self.seen.scatter_reduce_(0, rows[at], d, "amin")


def size(d: Tensor, norm: str) -> Tensor:
    """The size of perturbations [b, ...], a float error of 1e-6 forgiven in L0: [b] float64."""
    d = d.flatten(1).double()
    if norm == "L0":
        return (d.abs() > 1e-6).sum(1).double()
    return torch.linalg.vector_norm(d, ord={"L1": 1, "L2": 2, "Linf": torch.inf}[norm], dim=1)


@dataclass(frozen=True)
class Outcome:
    """Of n samples: the nearest success seen during the run and that returned (inf = none), passes, CPU seconds."""

    seen: Tensor
    returned: Tensor
    forward: int
    backward: int
    cpu: float

    @property
    def passes(self) -> int:
        return self.forward + self.backward

    @property
    def success(self) -> float:
        return float(self.seen.isfinite().double().mean())

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            torch.cat([self.seen, other.seen]),
            torch.cat([self.returned, other.returned]),
            self.forward + other.forward,
            self.backward + other.backward,
            self.cpu + other.cpu,
        )


def watch(
    attack: Attack, net: nn.Module, x: Tensor, y: Tensor, norm: str, budget: int | None = None,
    targets: Tensor | None = None, seed: int = 0,
) -> Outcome:  # fmt: skip
    """Run an attack of a peer on one batch under watch."""
    watched = Watched(net, x, y, norm, budget, targets).eval().requires_grad_(False)
    torch.manual_seed(seed)
    start = time.process_time()
    try:
        points = attack(watched, x.clone(), y.clone())
    except Spent:
        points = None
    cpu = time.process_time() - start
    forward, backward = int(watched.forwards.sum()), int(watched.backwards.sum())
    returned = torch.full_like(watched.seen, torch.inf)
    if points is not None:
        points = points.detach().to(x.dtype)
        with torch.no_grad():
            label = net(points).argmax(1)
        fooled = label != y if targets is None else label == targets
        fooled &= (points.flatten(1).amin(1) >= -1e-6) & (points.flatten(1).amax(1) <= 1 + 1e-6)
        returned[fooled] = size(points - x, norm)[fooled]
        if budget is None:  # a point that was returned without having been shown counts too
            watched.seen = torch.minimum(watched.seen, returned)
    return Outcome(watched.seen, returned, forward, backward, cpu)


class Cache:
    """Outcomes in a JSON file, so that a peer is run once; several processes may add to it."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.known: dict[str, Any] = json.loads(path.read_text()) if path is not None and path.exists() else {}

    def get(self, key: str) -> Outcome | None:
        if key not in self.known:
            return None
        kept = self.known[key]
        seen, returned = (
            torch.tensor([torch.inf if d is None else d for d in kept[name]], dtype=torch.float64)
            for name in ("seen", "returned")
        )
        return Outcome(seen, returned, kept["forward"], kept["backward"], kept["cpu"])

    def put(self, key: str, outcome: Outcome) -> None:
        plain = {
            name: [None if d == torch.inf else d for d in getattr(outcome, name).tolist()]
            for name in ("seen", "returned")
        }
        mine = {"forward": outcome.forward, "backward": outcome.backward, "cpu": round(outcome.cpu, 2)}
        self.known[key] = plain | mine
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.path.exists():
            self.known = json.loads(self.path.read_text()) | self.known
        with tempfile.NamedTemporaryFile("w", dir=self.path.parent, delete=False) as file:
            json.dump(self.known, file)
        os.replace(file.name, self.path)


def in_chunks(
    run: Callable[[Tensor, Tensor], Outcome], x: Tensor, y: Tensor, cache: Cache | None = None, key: str = ""
) -> Outcome:
    """`run` on batches of `CHUNK` images, one after the other; batches that the cache knows are not run again."""
    total: Outcome | None = None
    for number, (a, b) in enumerate(zip(x.split(CHUNK), y.split(CHUNK), strict=True)):
        name = f"{key}|{number}:{len(a)}"
        outcome = cache.get(name) if cache is not None else None
        if outcome is None:
            outcome = run(a, b)
            if cache is not None:
                cache.put(name, outcome)
        total = outcome if total is None else total + outcome
    assert total is not None
    return total


def images(net: nn.Module, n: int) -> tuple[Tensor, Tensor]:
    """The first `n` test images that the net gets right: on others every minimum-norm attack finds 0."""
    return load_images(n, correct_for=net)


def ours(
    attack: Any, net: nn.Module, x: Tensor, y: Tensor, norm: str, budget: Any = None, targets: Tensor | None = None
) -> Outcome:
    """An attack of sparring on one batch. Its claims are checked: counts by hooks, points and distances afresh."""
    import sparring as sp
    from common import count_passes

    goal = y if targets is None else sp.Targeted(targets, y)
    start = time.process_time()
    with count_passes(net) as passes:
        result = attack(
            sp.wrap(net), x, goal, sp.Threat(norm), seed=0, **({} if budget is None else {"budget": budget})
        )
    cpu = time.process_time() - start
    with torch.no_grad():
        label = net(result.x_adv).argmax(1)
    fooled = label != y if targets is None else label == targets
    returned = torch.full((len(x),), torch.inf, dtype=torch.float64)
    returned[fooled] = size(result.x_adv - x, norm)[fooled]
    claimed = result.distance.double()
    if not torch.equal(claimed.isfinite(), fooled) or not torch.allclose(claimed, returned, rtol=1e-4, atol=1e-6):
        print(f"WRONG: {result.attack} at {norm} claims distances that a fresh evaluation does not find")
    if (int(result.queries.sum()), int(result.gradients.sum())) != (passes.forward, passes.backward):
        counted = int(result.queries.sum()), int(result.gradients.sum())
        print(f"WRONG: {result.attack} counted {counted} passes, hooks saw {passes.forward, passes.backward}")
    return Outcome(claimed, returned, passes.forward, passes.backward, cpu)
