"""The one training loop of the generators: critic steps, a generator step, checkpoints, a watch over both.

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
from torch import Tensor, nn

from sparring.checkpoint import Checkpoint
from sparring.data.images import ImageData
from sparring.errors import InputError
from sparring.generators.objectives import METHODS, Objective
from sparring.generators.pairs import PAIRS, SHAPE, Critic, Generator, make_pair
from sparring.generators.watch import Watch
from sparring.seeds import derived_seed, private_rng


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
        method: a name in `METHODS`. net: a name in `PAIRS`, the method's own unless given.
        iterations: steps of the generator, each after `critic_steps` of the critic.
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
    run = _Run(objective, pair, seed, device or ("cuda" if torch.cuda.is_available() else "cpu"))
    objective.check(run.critic)
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
        raise InputError(f"no method is called {method!r}; there are: {', '.join(METHODS)}")
    kind, own = METHODS[method]
    net = net or own
    if net not in PAIRS:
        raise InputError(f"no pair of nets is called {net!r}; there are: {', '.join(PAIRS)}")
    fields = asdict(kind())
    unknown = sorted(set(changes) - set(fields))
    if unknown:
        raise InputError(f"{method} has no setting {unknown[0]!r}; it has: {', '.join(fields)}")
    return replace(kind(), **changes), net


def _plain(objective: Objective) -> dict[str, Any]:
    return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(objective).items()}


class _Run:
    """Both nets, their optimizers, and the running mean from which samples are taken."""

    def __init__(self, objective: Objective, pair: str, seed: int, device: str) -> None:
        self.objective, self.seed, self.device = objective, seed, torch.device(device)
        generator, critic = make_pair(pair, derived_seed(seed, "weights"))
        self.generator: Generator = generator.to(self.device).train()
        self.critic: Critic = critic.to(self.device).train()
        self.sampled = deepcopy(self.generator) if objective.average else self.generator
        self.optimizers = [self._optimizer(net) for net in (self.generator, self.critic)]

    def _optimizer(self, net: nn.Module) -> torch.optim.Optimizer:
        lr = self.objective.lr
        if self.objective.optimizer == "rmsprop":
            return torch.optim.RMSprop(net.parameters(), lr, alpha=0.9)
        return torch.optim.Adam(
            net.parameters(), lr, betas=self.objective.betas, fused=self.device.type in ("cpu", "cuda")
        )

    def step(self, images: Tensor, iteration: int, iterations: int) -> dict[str, float]:
        """One iteration; its figures."""
        with private_rng(self.device, derived_seed(self.seed, "iteration", iteration)):
            left, decay = 1 - iteration / iterations, self.objective.decay
            for optimizer in self.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = self.objective.lr * (min(1.0, left / decay) if decay else 1.0)
            for _ in range(self.objective.critic_steps):
                figures = self._critic_step(images)
            parameters = list(self.generator.parameters())
            loss = self.objective.generator_loss(self.critic, self.generator(self._noise()))
            slopes = torch.autograd.grad(loss, parameters)
            norm = torch.stack([slope.norm() for slope in slopes]).norm()
            for parameter, slope in zip(parameters, slopes, strict=True):
                parameter.grad = slope
            self.optimizers[0].step()
            self._average()
        return {"generator_loss": float(loss.detach()), **figures, "generator_gradient": float(norm)}

    def _critic_step(self, images: Tensor) -> dict[str, float]:
        with torch.no_grad():
            fake = self.generator(self._noise())
        real = images[torch.randint(len(images), (self.objective.batch_size,))].to(self.device)
        loss, figures = self.objective.critic_loss(self.critic, real, fake)
        self.optimizers[1].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[1].step()
        self.objective.after_critic(self.critic)
        return {"critic_loss": float(loss.detach()), **figures}

    def _noise(self) -> Tensor:
        return torch.randn(self.objective.batch_size, self.generator.latent).to(self.device)

    @torch.no_grad()
    def _average(self) -> None:
        if self.sampled is self.generator:
            return
        for mean, now in zip(self.sampled.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - self.objective.average)
        for kept, seen in zip(self.sampled.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(seen)

    def _nets(self) -> nn.ModuleDict:
        return nn.ModuleDict({"generator": self.generator, "critic": self.critic, "sampled": self.sampled})

    def save(self, path: Path, done: int, settings: dict[str, Any], history: list[dict[str, float]]) -> None:
        states = [optimizer.state_dict()["state"] for optimizer in self.optimizers]
        joined = dict(states[0]) | {index + 1000: state for index, state in states[1].items()}
        Checkpoint(self._nets().state_dict(), joined, done, settings, history).save(path)

    def restore(self, path: Path, settings: dict[str, Any]) -> list[dict[str, float]]:
        """Load the checkpoint; returns the records so far."""
        saved = Checkpoint.load(path)
        saved.check_settings(settings)
        self._nets().load_state_dict(saved.net)
        for number, optimizer in enumerate(self.optimizers):
            own = {i - 1000 * number: s for i, s in saved.optimizer.items() if i // 1000 == number}
            optimizer.load_state_dict({"state": own, "param_groups": optimizer.state_dict()["param_groups"]})
        return saved.history


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
