"""The one training loop of the generators: steps, checkpoints, a watch over what comes of it.

Every random number follows from (seed, iteration), so that a resumed run ends in the same weights, bit for bit on a
CPU. The caller's random state is left alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch

from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.generators.models import MODELS
from sparring.generators.objectives import METHODS, Alone, Objective
from sparring.generators.pairs import PAIRS, SHAPE, Generator
from sparring.generators.runs import AdversarialRun, AloneRun, Run
from sparring.generators.watch import Watch
from sparring.spec import unknown


class Listener(Protocol):
    """What may follow a run."""

    def on_step(self, iteration: int, figures: dict[str, float]) -> None:
        """After each iteration, counted from 1."""

    def on_record(self, record: dict[str, float], generator: Generator) -> None:
        """Every so many iterations: the means since the last record, when the checkpoint is on disk."""


@dataclass(frozen=True)
class Trained:
    """A run's end: the generator (eval mode, CPU), its records, why it stopped early (or None), what defined it."""

    generator: Generator
    history: list[dict[str, float]]
    stopped: str | None
    settings: dict[str, Any]
    seconds: float


def train_generator(
    data: ImageData,
    method: str = "wgan-gp",
    *,
    iterations: int,
    out: Path,
    net: str | None = None,
    every: int = 500,
    seed: int = 0,
    resume: bool = False,
    device: str | None = None,
    watch: Watch | None = None,
    stop: bool = True,
    listeners: Sequence[Listener] = (),
    **changes: Any,
) -> Trained:
    """Train a generator of images [1, 28, 28].

    Args:
        data: the images; labels play no part.
        method: a name in `METHODS`. net: a name in `PAIRS` or `MODELS`, the method's own unless given.
        iterations: steps of the generator, each after `critic_steps` of the critic, if there is one.
        out: a folder for the checkpoint, written every `every` iterations. resume: go on from there.
        watch: measures the samples at every record. stop: it may also end a run that has collapsed.
        changes: fields of the objective, like lr=1e-4.

    Raises:
        InputError: no such method, net or field; images of another shape; a critic that the method cannot train.
    """
    objective, pair = _chosen(method, net, changes)
    if data.shape != SHAPE:
        raise InputError(f"the generators make grey pictures of 28 x 28, the data has {data.shape}; give mnist")
    if iterations < 1 or every < 1:
        raise InputError(f"iterations is {iterations} and every is {every}; both must be at least 1")
    settings = {"method": method, "net": pair, "iterations": iterations, "every": every, "seed": seed}
    settings |= {"images": len(data), "objective": _plain(objective)}
    run = _run(objective, pair, seed, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    path = out / "checkpoint.safetensors"
    history = run.restore(path, settings) if resume and path.exists() else []
    began, images = time.perf_counter(), data.tensors()[0]
    stopped = watch.reason(history) if watch and stop else None
    done, sums = len(history) * every, _Means()
    for iteration in range(done, iterations if stopped is None else done):
        figures = run.step(images, iteration, iterations)
        if not all(math.isfinite(value) for value in figures.values()):
            stopped = f"the losses are no longer finite in iteration {iteration + 1}: the run has diverged"
            if path.exists() and history:
                run.restore(path, settings)
            break
        sums.add(figures)
        for listener in listeners:
            listener.on_step(iteration + 1, figures)
        if (iteration + 1) % every == 0 or iteration + 1 == iterations:
            record = {"iteration": iteration + 1.0} | sums.take()
            record |= watch.measure(run.sampled) if watch else {}
            history.append(record)
            run.save(path, iteration + 1, settings, history)
            for listener in listeners:
                listener.on_record(record, run.sampled)
            stopped = watch.reason(history) if watch and stop else None
            if stopped:
                break
    generator = deepcopy(run.sampled).cpu().eval().requires_grad_(False)
    return Trained(generator, history, stopped, settings, time.perf_counter() - began)


def _chosen(method: str, net: str | None, changes: dict[str, Any]) -> tuple[Objective, str]:
    if method not in METHODS:
        raise unknown("method", method, METHODS)
    kind, own = METHODS[method]
    net, nets = net or own, MODELS if kind is Alone else PAIRS
    if net not in nets:
        what = "net" if kind is Alone else "pair of nets"
        raise InputError(f"no {what} is called {net!r}; for {method} there are: {', '.join(nets)}")
    fields = asdict(kind())
    surplus = sorted(set(changes) - set(fields))
    if surplus:
        raise InputError(f"{method} has no setting {surplus[0]!r}; it has: {', '.join(fields)}")
    return replace(kind(), **changes), net


def _run(objective: Objective, net: str, seed: int, device: str) -> Run:
    if isinstance(objective, Alone):
        return AloneRun(objective, net, seed, device)
    return AdversarialRun(objective, net, seed, device)


def _plain(objective: Objective) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(objective).items()}


class _Means:
    """Running sums of figures."""

    def __init__(self) -> None:
        self.sums: dict[str, float] = {}
        self.count = 0

    def add(self, figures: dict[str, float]) -> None:
        self.count += 1
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def take(self) -> dict[str, float]:
        """The means, and a fresh start."""
        means = {name: total / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means
