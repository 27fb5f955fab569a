"""What is trained, step by step: a generator and its critic, or a generator that has a loss of its own.

Every random number follows from (seed, iteration).
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparring.checkpoint import Checkpoint
from sparring.generators.models import make_model
from sparring.generators.objectives import Adversarial, Alone, Objective
from sparring.generators.pairs import Critic, Generator, make_pair
from sparring.seeds import derived_seed, private_rng


class Run:
    """Nets, their optimizers, and the running mean from which samples are taken.

    Args:
        nets: those that are trained, the generator first.
    """

    objective: Objective

    def __init__(self, objective: Objective, seed: int, device: str, **nets: nn.Module) -> None:
        self.objective, self.seed, self.device = objective, seed, torch.device(device)
        self.nets = {name: net.to(self.device).train() for name, net in nets.items()}
        generator = self.nets["generator"]
        assert isinstance(generator, Generator)
        self.generator: Generator = generator
        self.sampled = deepcopy(generator) if objective.average else generator
        self.optimizers = [self._optimizer(net) for net in self.nets.values()]

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
            return self.learn(images)

    def learn(self, images: Tensor) -> dict[str, float]:
        """What an iteration does; its figures."""
        raise NotImplementedError

    def batch(self, images: Tensor) -> Tensor:
        """Some of the images."""
        return images[torch.randint(len(images), (self.objective.batch_size,))].to(self.device)

    def improve(self, loss: Tensor) -> dict[str, float]:
        """A step of the generator down its loss."""
        parameters = list(self.generator.parameters())
        slopes = torch.autograd.grad(loss, parameters)
        norm = torch.stack([slope.norm() for slope in slopes]).norm()
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        self.optimizers[0].step()
        self._average()
        return {"generator_loss": float(loss.detach()), "generator_gradient": float(norm)}

    @torch.no_grad()
    def _average(self) -> None:
        if self.sampled is self.generator:
            return
        for mean, now in zip(self.sampled.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(now, 1 - self.objective.average)
        for kept, seen in zip(self.sampled.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(seen)

    def _all(self) -> nn.ModuleDict:
        return nn.ModuleDict(self.nets | {"sampled": self.sampled})

    def save(self, path: Path, done: int, settings: dict[str, Any], history: list[dict[str, float]]) -> None:
        """Write the checkpoint."""
        joined = {
            index + 1000 * number: state
            for number, optimizer in enumerate(self.optimizers)
            for index, state in optimizer.state_dict()["state"].items()
        }
        Checkpoint(self._all().state_dict(), joined, done, settings, history).save(path)

    def restore(self, path: Path, settings: dict[str, Any]) -> list[dict[str, float]]:
        """Load the checkpoint; returns the records so far."""
        saved = Checkpoint.load(path)
        saved.check_settings(settings)
        self._all().load_state_dict(saved.net)
        for number, optimizer in enumerate(self.optimizers):
            own = {i - 1000 * number: s for i, s in saved.optimizer.items() if i // 1000 == number}
            optimizer.load_state_dict({"state": own, "param_groups": optimizer.state_dict()["param_groups"]})
            _as_laid_out(optimizer)
        return saved.history


def _as_laid_out(optimizer: torch.optim.Optimizer) -> None:
    """Give the state of each weight its memory layout: fused steps walk through both at once."""
    for weight, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, Tensor) and value.shape == weight.shape:
                state[name] = torch.empty_like(weight, requires_grad=False).copy_(value)


class AdversarialRun(Run):
    """Critic steps, then a step of the generator."""

    objective: Adversarial

    def __init__(self, objective: Adversarial, pair: str, seed: int, device: str) -> None:
        generator, critic = make_pair(pair, derived_seed(seed, "weights"))
        super().__init__(objective, seed, device, generator=generator, critic=critic)
        self.critic: Critic = critic
        objective.check(critic)

    def learn(self, images: Tensor) -> dict[str, float]:
        """See `Run`."""
        for _ in range(self.objective.critic_steps):
            figures = self._critic_step(images)
        loss = self.objective.generator_loss(self.critic, self.generator(self._noise()))
        return figures | self.improve(loss)

    def _critic_step(self, images: Tensor) -> dict[str, float]:
        with torch.no_grad():
            fake = self.generator(self._noise())
        real = self.batch(images)
        loss, figures = self.objective.critic_loss(self.critic, real, fake)
        self.optimizers[1].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers[1].step()
        self.objective.after_critic(self.critic)
        return {"critic_loss": float(loss.detach()), **figures}

    def _noise(self) -> Tensor:
        return torch.randn(self.objective.batch_size, self.generator.latent).to(self.device)


class AloneRun(Run):
    """Steps of a generator down its own loss."""

    objective: Alone

    def __init__(self, objective: Alone, net: str, seed: int, device: str) -> None:
        made = make_model(net, derived_seed(seed, "weights"))
        super().__init__(objective, seed, device, generator=made)
        self.loss = made.loss

    def learn(self, images: Tensor) -> dict[str, float]:
        """See `Run`."""
        return self.improve(self.loss(self.batch(images)))
